// Downloads all files that opening a variant needs, in pieces and several at once: stored pieces from the browser's
// store, the others over the network, where each is verified. transfer.ts downloads one piece.
// It is our own code because no library resumes a download by ranges and verifies each piece by a digest of its own.
import type { Expansion, FileDescriptor, Manifest, Variant } from '../../contract/generated';
import { sessionGraph } from '../../contract/variant_graphs';
import { ArrivingFile } from './arriving_file';
import { BundleError } from '../bundle_error';
import type { ByteSource } from '../sources/byte_source';
import type { ChunkStore } from '../storage/chunk_store';
import { DownloadProgress, type DownloadState } from './download_progress';
import { fetchAlone } from './fetch_alone';
import type { RetryPolicy } from './retry_policy';
import { signalAborted, transfer, type Piece, type TransferEvents } from './transfer';

/** Files by path. Expanded weights have the path that the graphs refer to, not that of the downloaded file. */
export type BundleFiles = ReadonlyMap<string, Uint8Array<ArrayBuffer>>;

export interface Download {
  readonly files: BundleFiles;
  /** Milliseconds spent on expanding weights. */
  readonly expandMs: number;
  /** Number of bytes that came from the browser's store. */
  readonly keptBytes: number;
  /** True if all bytes are in the browser's store for the next visit. */
  readonly isKept: boolean;
}

/** The store, the retry policy and the abort signal of a download. */
export interface DownloadContext {
  readonly store: ChunkStore;
  readonly retryPolicy: RetryPolicy;
  readonly signal: AbortSignal;
}

/** Browsers open six connections to a host over HTTP/1.1; more pieces would wait for each other. */
const atOnce = 6;

/** List the files that opening a variant needs: of its graphs only the one that a session opens. */
export function filesToOpen(manifest: Manifest, variant: Variant): FileDescriptor[] {
  const { tokenizer } = manifest;
  const paths = new Set([
    sessionGraph(variant).path,
    ...variant.weights,
    ...(tokenizer ? [tokenizer.tokenizer, tokenizer.config, tokenizer.cases] : []),
  ]);
  return manifest.files.filter(({ path }) => paths.has(path));
}

/** Return the paths of the files that the graphs of a variant read their weights from. */
export function weightFiles({ weights, expansion }: Variant): string[] {
  return expansion === undefined ? weights : [expansion.path];
}

/** Return the variant's expansion, by the path of the encoded file that is downloaded. */
export function expansionsOf({ weights, expansion }: Variant): ReadonlyMap<string, Expansion> {
  return new Map(expansion === undefined ? [] : weights.map((path) => [path, expansion]));
}

/**
 * Download the files, and expand those that have an expansion while they arrive. Rejects with the first BundleError and
 * cancels the other downloads; pieces that arrived stay in the store.
 */
export async function downloadFiles(
  source: ByteSource,
  descriptors: readonly FileDescriptor[],
  expansions: ReadonlyMap<string, Expansion>,
  { store, retryPolicy, signal }: DownloadContext,
  onProgress: (state: DownloadState) => void,
): Promise<Download> {
  // Small files first, so that the graph and the tokenizer arrive early.
  const inOrder = [...descriptors].sort((a, b) => a.bytes - b.bytes);
  const files = inOrder.map((file) => new ArrivingFile(file, expansions.get(file.path)));
  const queue = files.flatMap((file) => file.pieces.map((piece) => ({ file, piece })));
  const progress = new DownloadProgress(
    queue.reduce((sum, { piece }) => sum + piece.bytes, 0),
    onProgress,
  );
  const stop = new AbortController();
  const context = { store, retryPolicy, signal: AbortSignal.any([signal, stop.signal]) };
  const arrivals = new Map<string, Promise<Arrived>>();
  const fetchNext = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const { file, piece } = next;
      const events = progress.follow((bytes) => {
        file.receive(bytes);
      });
      const twin = arrivals.get(piece.digest);
      const arriving =
        twin?.then(({ bytes, origin, isKept }) => {
          piece.into.set(bytes);
          return { bytes: piece.into, origin, isKept };
        }) ?? fetchPiece(source, piece, context, events);
      if (twin === undefined) arrivals.set(piece.digest, arriving);
      events.onArrived(piece.bytes, (await arriving).origin);
      file.prove(piece);
    }
  };
  try {
    progress.tell();
    await Promise.all(Array.from({ length: atOnce }, fetchNext));
  } catch (error) {
    stop.abort();
    signalAborted(signal);
    throw error;
  }
  const arrived = await Promise.all(arrivals.values());
  return {
    files: new Map(files.map((file) => [file.path, file.bytes])),
    expandMs: files.reduce((sum, file) => sum + file.expandMs, 0),
    keptBytes: progress.keptBytes,
    isKept: arrived.every(({ isKept }) => isKept),
  };
}

interface Arrived {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly origin: 'store' | 'network';
  readonly isKept: boolean;
}

async function fetchPiece(
  source: ByteSource,
  piece: Piece & { readonly into: Uint8Array<ArrayBuffer> },
  { store, retryPolicy, signal }: DownloadContext,
  events: TransferEvents,
): Promise<Arrived> {
  const { digest, into } = piece;
  const fromStore: Arrived = { bytes: into, origin: 'store', isKept: true };
  signalAborted(signal);
  if (await store.read(digest, into)) return fromStore;
  // Pieces in our own store need not be in the HTTP cache as well.
  const cache = store.keeps ? 'no-store' : 'default';
  const fetching = async (onBytes: () => void): Promise<Arrived> => {
    // Another tab may have stored it meanwhile.
    if (await store.read(digest, into)) return fromStore;
    await transfer(
      source,
      piece,
      into,
      { retryPolicy, cache, signal },
      {
        onWaiting: (waiting) => {
          events.onWaiting(waiting);
        },
        onReceived: (bytes) => {
          onBytes();
          events.onReceived(bytes);
        },
      },
    );
    return { bytes: into, origin: 'network', isKept: (await store.write(digest, into)) === 'kept' };
  };
  const quietMs = retryPolicy.stallMs;
  return store.keeps
    ? fetchAlone(digest, { signal, quietMs }, events, fetching)
    : fetching(() => undefined);
}

/** Return a file named by `filesToOpen` or `weightFiles`; the check of the manifest ensures that it is listed. */
export function fileOf(files: BundleFiles, path: string): Uint8Array<ArrayBuffer> {
  const bytes = files.get(path);
  if (bytes === undefined) {
    throw new BundleError({ kind: 'integrity', path, expected: 'a file', got: 'none' });
  }
  return bytes;
}
