// All files that opening a variant takes, piece by piece and several at once: kept pieces from the browser's store,
// the others over the network, each proven before it counts. One piece is transfer.ts.
import type { Expansion, FileDescriptor, Manifest, Variant } from '../contract/generated';
import { ArrivingFile } from './arriving_file';
import { BundleError } from './bundle_error';
import type { ByteSource } from './byte_source';
import type { ChunkStore } from './chunk_store';
import { DownloadProgress, type DownloadState } from './download_progress';
import { fetchAlone } from './fetch_alone';
import type { Patience } from './patience';
import { signalAborted, transfer, type Piece, type TransferEvents } from './transfer';

/** By path; weights that were expanded lie under the path that the graphs know, not under the one they travelled as. */
export type BundleFiles = ReadonlyMap<string, Uint8Array<ArrayBuffer>>;

export interface Download {
  readonly files: BundleFiles;
  /** Spent on expanding weights. */
  readonly expandMs: number;
  /** Of all bytes, those that the browser had kept. */
  readonly keptBytes: number;
  /** Whether the next visit finds them all. */
  readonly isKept: boolean;
}

/** How a download goes about it. */
export interface Means {
  readonly store: ChunkStore;
  readonly patience: Patience;
  readonly signal: AbortSignal;
}

/** Browsers open six connections to a host over HTTP/1.1; more pieces would wait for each other. */
const atOnce = 6;

/** The interactive graph reads the plain graph's weights, so the plain graph itself is not needed. */
export function filesToOpen(manifest: Manifest, variant: Variant): FileDescriptor[] {
  const { tokenizer } = manifest;
  const paths = new Set([
    variant.interactive.path,
    ...variant.weights,
    ...(tokenizer ? [tokenizer.tokenizer, tokenizer.config, tokenizer.cases] : []),
  ]);
  return manifest.files.filter(({ path }) => paths.has(path));
}

/** Paths of the files that the graphs of a variant read their weights from. */
export function weightFiles({ weights, expansion }: Variant): string[] {
  return expansion === undefined ? weights : [expansion.path];
}

/** By the path of the file that travels. */
export function expansionsOf({ weights, expansion }: Variant): ReadonlyMap<string, Expansion> {
  return new Map(expansion === undefined ? [] : weights.map((path) => [path, expansion]));
}

/**
 * Files that have an expansion are expanded while they arrive. Rejects with the first BundleError, and then
 * stops what is still on its way; pieces that are here stay kept.
 */
export async function downloadFiles(
  source: ByteSource,
  descriptors: readonly FileDescriptor[],
  expansions: ReadonlyMap<string, Expansion>,
  { store, patience, signal }: Means,
  onProgress: (state: DownloadState) => void,
): Promise<Download> {
  // Small files first: whoever waits for the graph or the tokenizer waits for little.
  const inOrder = [...descriptors].sort((a, b) => a.bytes - b.bytes);
  const files = inOrder.map((file) => new ArrivingFile(file, expansions.get(file.path)));
  const queue = files.flatMap((file) => file.pieces.map((piece) => ({ file, piece })));
  const progress = new DownloadProgress(
    queue.reduce((sum, { piece }) => sum + piece.bytes, 0),
    onProgress,
  );
  const stop = new AbortController();
  const means = { store, patience, signal: AbortSignal.any([signal, stop.signal]) };
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
        }) ?? fetchPiece(source, piece, means, events);
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
  { store, patience, signal }: Means,
  events: TransferEvents,
): Promise<Arrived> {
  const { digest, into } = piece;
  const fromStore: Arrived = { bytes: into, origin: 'store', isKept: true };
  signalAborted(signal);
  if (await store.read(digest, into)) return fromStore;
  // What we keep ourselves need not be kept by the HTTP cache as well.
  const cache = store.keeps ? 'no-store' : 'default';
  const fetching = async (onBytes: () => void): Promise<Arrived> => {
    // Another tab may have been at it.
    if (await store.read(digest, into)) return fromStore;
    await transfer(
      source,
      piece,
      into,
      { patience, cache, signal },
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
  const quietMs = patience.stallMs;
  return store.keeps
    ? fetchAlone(digest, { signal, quietMs }, events, fetching)
    : fetching(() => undefined);
}

/** A file that `filesToOpen` or `weightFiles` named; the manifest's check has made sure that it is listed. */
export function fileOf(files: BundleFiles, path: string): Uint8Array<ArrayBuffer> {
  const bytes = files.get(path);
  if (bytes === undefined) {
    throw new BundleError({ kind: 'integrity', path, expected: 'a file', got: 'none' });
  }
  return bytes;
}
