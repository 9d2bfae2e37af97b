// Downloads all files that opening a variant needs, in pieces and several at once: stored pieces from the browser's
// store, the others over the network, where each is verified. transfer.ts downloads one piece.
// It is our own code because no library resumes a download by ranges and verifies each piece by a digest of its own.
import type { FileDescriptor, Manifest, Variant } from '../../contract/generated';
import { sessionGraph } from '../../contract/variant_graphs';
import { ArrivingFile, ArrivingWeights, PieceBuffers, type ArrivingPiece } from './arriving_file';
import { BundleError } from '../bundle_error';
import type { ByteSource } from '../sources/byte_source';
import type { ChunkStore } from '../storage/chunk_store';
import type { ProvenPiece } from '../weights/piece_ranges';
import type { WeightsFile } from '../weights/weights_file';
import { DownloadProgress, type DownloadState } from './download_progress';
import { fetchAlone } from './fetch_alone';
import type { RetryPolicy } from './retry_policy';
import { signalAborted, transfer, type TransferEvents } from './transfer';

/** All files but the weights, by path. */
export type BundleFiles = ReadonlyMap<string, Uint8Array<ArrayBuffer>>;

export interface Download {
  readonly files: BundleFiles;
  /** The pieces of each weights file, by the path of the downloaded file. */
  readonly weights: ReadonlyMap<string, readonly ProvenPiece[]>;
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

/** Return the variant's weights in the form that its graphs read, from the downloaded pieces. */
export function weightsOf(
  { weights, expansion }: Variant,
  arrived: Download['weights'],
): WeightsFile[] {
  return weights.flatMap((path) => {
    const pieces = arrived.get(path);
    if (pieces === undefined) return [];
    return [{ path: expansion?.path ?? path, pieces, expansion: expansion ?? null }];
  });
}

/**
 * Download the files. Those of `weights` stay in the store, as far as it has room. Rejects with the first BundleError
 * and cancels the other downloads; pieces that arrived stay in the store.
 */
export async function downloadFiles(
  source: ByteSource,
  descriptors: readonly FileDescriptor[],
  weights: ReadonlySet<string>,
  { store, retryPolicy, signal }: DownloadContext,
  onProgress: (state: DownloadState) => void,
): Promise<Download> {
  // Small files first, so that the graph and the tokenizer arrive early.
  const inOrder = [...descriptors].sort((a, b) => a.bytes - b.bytes);
  const buffers = new PieceBuffers();
  const whole = inOrder.filter(({ path }) => !weights.has(path));
  const files = whole.map((file) => new ArrivingFile(file));
  const inPieces = inOrder
    .filter(({ path }) => weights.has(path))
    .map((file) => new ArrivingWeights(file, buffers));
  const queue = [...files, ...inPieces].flatMap(({ pieces }) => pieces);
  const progress = new DownloadProgress(
    queue.reduce((sum, { bytes }) => sum + bytes, 0),
    onProgress,
  );
  const stop = new AbortController();
  const context = { store, retryPolicy, signal: AbortSignal.any([signal, stop.signal]) };
  const arrivals = new Map<string, Promise<Arrived>>();
  const fetchNext = async (): Promise<void> => {
    for (let piece = queue.shift(); piece !== undefined; piece = queue.shift()) {
      const events = progress.follow();
      const before = arrivals.get(piece.digest);
      const arriving = before
        ? fetchTwin(source, piece, await before, context, events)
        : fetchPiece(source, piece, context, events);
      if (before === undefined) arrivals.set(piece.digest, arriving);
      const { bytes, origin, isKept } = await arriving;
      events.onArrived(piece.bytes, origin);
      piece.prove(bytes, isKept);
    }
  };
  try {
    progress.tell();
    await Promise.all(Array.from({ length: atOnce }, fetchNext));
  } catch (error) {
    stop.abort();
    signalAborted(signal);
    throw error;
  } finally {
    buffers.release();
  }
  const arrived = await Promise.all(arrivals.values());
  return {
    files: new Map(files.map((file) => [file.path, file.bytes])),
    weights: new Map(inPieces.map((file) => [file.path, file.proven])),
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
  piece: ArrivingPiece,
  { store, retryPolicy, signal }: DownloadContext,
  events: TransferEvents,
): Promise<Arrived> {
  const { digest } = piece;
  signalAborted(signal);
  const into = piece.memory();
  const fromStore: Arrived = { bytes: into, origin: 'store', isKept: true };
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

/** Reuse a piece that another file contains too: from the store, or from that file's memory. */
async function fetchTwin(
  source: ByteSource,
  piece: ArrivingPiece,
  twin: Arrived,
  context: DownloadContext,
  events: TransferEvents,
): Promise<Arrived> {
  if (twin.isKept) return fetchPiece(source, piece, context, events);
  const into = piece.memory();
  into.set(twin.bytes);
  return { ...twin, bytes: into };
}

/** Return a file that `filesToOpen` named; validation of the manifest ensures that it is listed. */
export function fileOf(files: BundleFiles, path: string): Uint8Array<ArrayBuffer> {
  const bytes = files.get(path);
  if (bytes === undefined) {
    throw new BundleError({ kind: 'integrity', path, expected: 'a file', got: 'none' });
  }
  return bytes;
}
