// Downloads a model's files in a separate worker, which is terminated after the download to free the memory that
// fetching and hashing used; the runtime starts in the meantime. download.worker.ts does the work.
import { downloadFiles, type Download } from '../bundle/download/download';
import { inTime, retryPolicy, startLimits } from '../bundle/download/retry_policy';
import { signalAborted } from '../bundle/download/transfer';
import type { ByteSource } from '../bundle/sources/byte_source';
import { HttpByteSource } from '../bundle/sources/byte_source';
import { FileByteSource } from '../bundle/sources/file_source';
import { noStore } from '../bundle/storage/chunk_store';
import type { ModelCache } from '../bundle/storage/model_cache';
import type { FileDescriptor } from '../contract/generated';
import type { DownloadNews, DownloadOrder, SourceData } from './download_messages';
import { reportDownload } from './download_reports';
import { ModelError } from './model_error';
import type { Progress } from './model_types';

/** The files to download, and their source. */
export interface FilesOrder {
  readonly source: ByteSource;
  readonly descriptors: readonly FileDescriptor[];
  /** Paths of the files that stay in the store as far as it has room. */
  readonly weights: ReadonlySet<string>;
  /** The store of models; null if nothing is stored. */
  readonly modelCache: ModelCache | null;
}

/** Download the files. Rejects with a BundleError, or with a ModelError of the same data. */
export async function downloadApart(
  order: FilesOrder,
  signal: AbortSignal,
  onProgress: (progress: Progress) => void,
): Promise<Download> {
  signalAborted(signal);
  const source = sourceData(order.source);
  const worker = source === null ? null : await startWorker();
  try {
    // It may have aborted while the worker started.
    signalAborted(signal);
    if (source !== null && worker !== null && takesOrder(worker, source, order))
      return await directed(worker, order.modelCache, signal, onProgress);
  } finally {
    worker?.terminate();
  }
  return downloadHere(order, signal, onProgress);
}

/** Send the order; false where the browser can't send a folder of its private file system, which some can't. */
function takesOrder(
  worker: Worker,
  source: SourceData,
  { descriptors, weights, modelCache }: FilesOrder,
): boolean {
  const folder = modelCache?.folder ?? null;
  const order: DownloadOrder = { kind: 'start', source, descriptors, weights, folder };
  try {
    worker.postMessage(order);
    return true;
  } catch (error) {
    if (error instanceof DOMException && error.name === 'DataCloneError') return false;
    throw error;
  }
}

function sourceData(source: ByteSource): SourceData | null {
  if (source instanceof HttpByteSource) return { manifestUrl: source.manifestUrl.href };
  return source instanceof FileByteSource ? { files: source.files } : null;
}

/** Start the worker; null if the browser or a policy forbids it, or its script can't be loaded. */
async function startWorker(): Promise<Worker | null> {
  let worker: Worker;
  try {
    worker = new Worker(new URL('./download.worker.ts', import.meta.url), {
      type: 'module',
      name: 'oriel-download',
    });
  } catch {
    return null;
  }
  const ready = new Promise<boolean>((resolve) => {
    worker.addEventListener('message', () => {
      resolve(true);
    });
    worker.addEventListener('error', (event) => {
      event.preventDefault();
      resolve(false);
    });
  });
  if (await inTime(ready, startLimits.downloadWorker, false)) return worker;
  worker.terminate();
  return null;
}

function directed(
  worker: Worker,
  modelCache: ModelCache | null,
  signal: AbortSignal,
  onProgress: (progress: Progress) => void,
): Promise<Download> {
  const order = (order: DownloadOrder): void => {
    worker.postMessage(order);
  };
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      reject(new ModelError({ kind: 'aborted' }));
    };
    signal.addEventListener('abort', abort, { once: true });
    worker.addEventListener('message', ({ data }: MessageEvent<DownloadNews>) => {
      switch (data.kind) {
        case 'ready':
          return;
        case 'progress':
          onProgress(data.progress);
          return;
        case 'make-room':
          void modelCache?.makeRoom(data.bytes).then(() => {
            order({ kind: 'room-made' });
          });
          return;
        case 'done':
          signal.removeEventListener('abort', abort);
          resolve(data.download);
          return;
        case 'error':
          reject(new ModelError(data.error));
      }
    });
    worker.addEventListener('messageerror', () => {
      const detail = "an answer of the download's worker could not be read";
      reject(new ModelError({ kind: 'session', detail }));
    });
    worker.addEventListener('error', (event) => {
      event.preventDefault();
      const detail = event.message || 'the worker of the download broke down';
      reject(new ModelError({ kind: 'session', detail }));
    });
    void modelCache?.recorded().then(() => {
      order({ kind: 'recorded', folder: modelCache.folder });
    });
  });
}

function downloadHere(
  { source, descriptors, weights, modelCache }: FilesOrder,
  signal: AbortSignal,
  onProgress: (progress: Progress) => void,
): Promise<Download> {
  const context = { store: modelCache?.chunks ?? noStore, retryPolicy, signal };
  return downloadFiles(source, descriptors, weights, context, reportDownload(onProgress));
}
