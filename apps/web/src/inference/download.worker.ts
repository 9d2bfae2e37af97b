// The entry point of the worker that downloads, verifies and stores one model's files. The worker is terminated after
// the download, so that its memory is free before a session is created.
import '../host/trusted_scripts';
import { downloadFiles, type Download } from '../bundle/download/download';
import { retryPolicy } from '../bundle/download/retry_policy';
import { HttpByteSource, type ByteSource } from '../bundle/sources/byte_source';
import { FileByteSource } from '../bundle/sources/file_source';
import { noStore } from '../bundle/storage/chunk_store';
import { OpfsStore, type RecordKeeper } from '../bundle/storage/opfs_store';
import type { DownloadNews, DownloadOrder, SourceData } from './download_messages';
import { reportDownload } from './download_reports';
import { toModelErrorData } from './model_error';

/** The records of stored models, which the model's worker keeps. */
class DistantRecords implements RecordKeeper {
  #folder: FileSystemDirectoryHandle;
  #isRecorded = (): void => undefined;
  readonly #recorded = new Promise<void>((resolve) => (this.#isRecorded = resolve));
  readonly #waiting: (() => void)[] = [];

  constructor(folder: FileSystemDirectoryHandle) {
    this.#folder = folder;
  }

  folder(): FileSystemDirectoryHandle {
    return this.#folder;
  }

  recorded(): Promise<void> {
    return this.#recorded;
  }

  makeRoom(bytes: number): Promise<void> {
    send({ kind: 'make-room', bytes });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  noteRecorded(folder: FileSystemDirectoryHandle): void {
    this.#folder = folder;
    this.#isRecorded();
  }

  /** Requests for room are served in order. */
  noteRoom(): void {
    this.#waiting.shift()?.();
  }
}

let records: DistantRecords | null = null;

function send(news: DownloadNews, transfer: Transferable[] = []): void {
  self.postMessage(news, { transfer });
}

function sourceOf(data: SourceData): ByteSource {
  return 'files' in data
    ? new FileByteSource(data.files)
    : new HttpByteSource(new URL(data.manifestUrl));
}

async function download(order: DownloadOrder & { kind: 'start' }): Promise<void> {
  records = order.folder && new DistantRecords(order.folder);
  const store = records === null ? noStore : new OpfsStore(records);
  const { signal } = new AbortController();
  const done = await downloadFiles(
    sourceOf(order.source),
    order.descriptors,
    order.weights,
    { store, retryPolicy, signal },
    reportDownload((progress) => {
      send({ kind: 'progress', progress });
    }),
  );
  send({ kind: 'done', download: done }, buffersOf(done));
}

/** Return the buffers to transfer: files that aren't stored may be as large as the model. */
function buffersOf({ files, weights }: Download): Transferable[] {
  const held = [...weights.values()].flat().flatMap(({ held }) => held ?? []);
  return [...new Set([...files.values(), ...held].map(({ buffer }) => buffer))];
}

self.addEventListener('message', ({ data }: MessageEvent<DownloadOrder>) => {
  switch (data.kind) {
    case 'start':
      download(data).catch((error: unknown) => {
        send({ kind: 'error', error: toModelErrorData(error, 'session') });
      });
      return;
    case 'recorded':
      records?.noteRecorded(data.folder);
      return;
    case 'room-made':
      records?.noteRoom();
  }
});

send({ kind: 'ready' });
