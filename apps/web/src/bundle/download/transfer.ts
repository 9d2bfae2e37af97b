// Downloads one piece of a bundle into memory and verifies it, with retries after broken connections. download.ts
// chooses the pieces.
import { BundleError } from '../bundle_error';
import type { ByteSource, ByteStream, ReadOptions } from '../sources/byte_source';
import { RunningDigest, sha256Digest } from './digest';
import { pauseAfter, waitOnline, type RetryPolicy } from './retry_policy';
import { StallWatch } from './stall_watch';

/** Something with an address, a size and a digest: a file, or a chunk of one. */
export interface Piece {
  readonly path: string;
  readonly bytes: number;
  readonly digest: string;
}

export interface TransferEvents {
  /** Called with the number of bytes in memory, not verified yet; fewer than before after a restart. */
  onReceived(bytes: number): void;
  /** Called when waiting begins, and with null when it ends. */
  onWaiting(waiting: TransferWait | null): void;
}

/** The reason why nothing arrives at the moment. */
export type TransferWait =
  /** The connection or the server failed; the retry follows in `ms` milliseconds. */
  | { reason: 'again'; url: string; ms: number }
  /** Another tab fetches the same bytes. */
  | { reason: 'other-tab' };

/** Pieces up to this many bytes are hashed by SubtleCrypto, which copies them; larger ones while they arrive. */
const hashedWhole = 16 * 2 ** 20;

/**
 * Fill `into`, of the piece's size, with bytes that have its digest. After a broken connection it resumes, if the
 * source can; wrong bytes are requested once more, bypassing the HTTP cache. Rejects with a BundleError.
 */
export async function transfer(
  source: ByteSource,
  piece: Piece,
  into: Uint8Array<ArrayBuffer>,
  {
    retryPolicy,
    cache,
    signal,
  }: { retryPolicy: RetryPolicy; cache: RequestCache; signal: AbortSignal },
  events: TransferEvents,
): Promise<void> {
  const arrival = new Arrival(piece, into, (bytes) => {
    events.onReceived(bytes);
  });
  let options: ReadOptions = { cache };
  let failures = 0;
  let continued = false;
  for (;;) {
    const before = arrival.received;
    try {
      await attempt(source, arrival, options, retryPolicy.stallMs, signal);
      return;
    } catch (error) {
      signalAborted(signal);
      if (!(error instanceof BundleError)) throw error;
      // A proxy may cut an answer short without an HTTP error.
      const isShort = arrival.received > 0 && arrival.received < piece.bytes;
      if (error.data.kind === 'integrity' && isShort && !continued) {
        continued = true;
        options = { ...options, from: arrival.received };
        continue;
      }
      if (error.data.kind === 'integrity' && options.cache !== 'reload') {
        arrival.restart();
        options = { cache: 'reload' };
        continue;
      }
      if (arrival.received - before >= retryPolicy.worthwhileBytes) failures = 0;
      const ms = pauseAfter(error, ++failures, retryPolicy);
      if (ms === null) throw error;
      events.onWaiting({ reason: 'again', url: source.locate(piece.path), ms });
      await waitOnline(ms, signal).catch(() => {
        signalAborted(signal);
      });
      events.onWaiting(null);
      options = { ...options, from: arrival.received };
    }
  }
}

async function attempt(
  source: ByteSource,
  arrival: Arrival,
  options: ReadOptions,
  stallMs: number,
  signal: AbortSignal,
): Promise<void> {
  const url = source.locate(arrival.piece.path);
  const stall = new StallWatch(url, stallMs);
  const either = AbortSignal.any([signal, stall.signal]);
  try {
    const stream = await source.open(arrival.piece.path, either, options);
    await arrival.begin(stream, url);
    await eachChunk(stream, url, (chunk) => {
      stall.reset();
      arrival.take(chunk);
    });
  } catch (error) {
    throw stall.error ?? error;
  } finally {
    stall.end();
  }
  await arrival.prove();
}

/** The bytes of a piece received so far, and their hash. */
class Arrival {
  readonly piece: Piece;
  received = 0;
  readonly #into: Uint8Array<ArrayBuffer>;
  readonly #onReceived: (bytes: number) => void;
  #running: RunningDigest | null = null;

  constructor(piece: Piece, into: Uint8Array<ArrayBuffer>, onReceived: (bytes: number) => void) {
    this.piece = piece;
    this.#into = into;
    this.#onReceived = onReceived;
  }

  restart(): void {
    this.received = 0;
    this.#running?.restart();
    this.#onReceived(0);
  }

  async begin(stream: ByteStream, url: string): Promise<void> {
    if (stream.isHtml) {
      await stream.chunks.cancel();
      throw new BundleError({ kind: 'not-found', url, status: 200 });
    }
    if (this.piece.bytes > hashedWhole) this.#running ??= await RunningDigest.start();
    if (stream.start !== this.received) this.restart();
    if (stream.start !== 0 && stream.start !== this.received) {
      await stream.chunks.cancel();
      throw this.#sizeError(`bytes from ${stream.start} on`);
    }
  }

  take(chunk: Uint8Array<ArrayBuffer>): void {
    if (this.received + chunk.length > this.piece.bytes) throw this.#sizeError('more bytes');
    this.#into.set(chunk, this.received);
    this.#running?.update(chunk);
    this.received += chunk.length;
    this.#onReceived(this.received);
  }

  async prove(): Promise<void> {
    const { path, bytes, digest } = this.piece;
    if (this.received !== bytes) {
      throw this.#sizeError(`${this.received} bytes`);
    }
    const got = this.#running?.finish() ?? (await sha256Digest(this.#into));
    if (got !== digest) throw new BundleError({ kind: 'integrity', path, expected: digest, got });
  }

  #sizeError(got: string): BundleError {
    const { path, bytes } = this.piece;
    return new BundleError({ kind: 'integrity', path, expected: `${bytes} bytes`, got });
  }
}

/** Pass each chunk to `take`, which must not keep it; its error ends the transfer. Rejects with a BundleError. */
export async function eachChunk(
  stream: ByteStream,
  url: string,
  take: (chunk: Uint8Array<ArrayBuffer>) => void,
): Promise<void> {
  const reader = readerOf(stream.chunks);
  try {
    for (;;) {
      const chunk = await reader.read();
      if (chunk === null) return;
      take(chunk);
    }
  } catch (cause) {
    await reader.cancel().catch(() => undefined);
    if (cause instanceof BundleError) throw cause;
    throw new BundleError({ kind: 'network', url, offline: false }, { cause });
  }
}

interface ChunkReader {
  /** Read the next chunk; null at the end. It may reuse the memory of the one before. */
  read(): Promise<Uint8Array<ArrayBuffer> | null>;
  cancel(): Promise<void>;
}

const readAtOnce = 256 * 1024;

/** Return a reader that reuses memory: thousands of new arrays would wait for the garbage collector. */
function readerOf(chunks: ReadableStream<Uint8Array<ArrayBuffer>>): ChunkReader {
  let reusing: ReadableStreamBYOBReader;
  try {
    reusing = chunks.getReader({ mode: 'byob' });
  } catch {
    // Not a byte stream, as in tests and in browsers without support.
    const reader = chunks.getReader();
    return {
      read: async () => (await reader.read()).value ?? null,
      cancel: () => reader.cancel(),
    };
  }
  let memory = new ArrayBuffer(readAtOnce);
  return {
    read: async () => {
      const { done, value } = await reusing.read(new Uint8Array(memory));
      if (done) return null;
      memory = value.buffer;
      return value;
    },
    cancel: () => reusing.cancel(),
  };
}

export function signalAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new BundleError({ kind: 'aborted' });
}
