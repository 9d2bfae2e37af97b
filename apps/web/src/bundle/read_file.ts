// One file of a bundle, read whole and proven to be the file that the manifest describes.
import type { FileDescriptor } from '../contract/generated';
import { BundleError } from './bundle_error';
import type { ByteSource, ByteStream } from './byte_source';
import { sha256Digest } from './digest';

/** Browsers refuse an ArrayBuffer beyond about this, and Protocol Buffers end here too. */
export const maxFileBytes = 2 ** 31 - 1;

/** `onBytes` is told of each piece as it arrives, and given the file so far as it is there. Rejects with a BundleError. */
export async function readFile(
  source: ByteSource,
  descriptor: FileDescriptor,
  signal: AbortSignal,
  onBytes: (count: number, file: Uint8Array) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const { path, bytes: size, digest } = descriptor;
  checkSize(path, size);
  const stream = await source.open(path, signal);
  if (stream.isHtml) {
    await stream.chunks.cancel();
    throw new BundleError({ kind: 'not-found', url: source.locate(path), status: 200 });
  }
  const bytes = allocate(path, size);
  let received = 0;
  await eachChunk(source, path, stream, signal, (chunk) => {
    if (received + chunk.length > size) {
      throw new BundleError({
        kind: 'integrity',
        path,
        expected: `${size} bytes`,
        got: 'more bytes',
      });
    }
    bytes.set(chunk, received);
    received += chunk.length;
    onBytes(chunk.length, bytes);
  });
  if (received !== size) {
    throw new BundleError({
      kind: 'integrity',
      path,
      expected: `${size} bytes`,
      got: `${received} bytes`,
    });
  }
  const got = await sha256Digest(bytes);
  if (got !== digest) throw new BundleError({ kind: 'integrity', path, expected: digest, got });
  signalAborted(signal);
  return bytes;
}

/** Gives each chunk to `take`; what `take` throws ends the download. */
export async function eachChunk(
  source: ByteSource,
  path: string,
  stream: ByteStream,
  signal: AbortSignal,
  take: (chunk: Uint8Array<ArrayBuffer>) => void,
): Promise<void> {
  const reader = stream.chunks.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      take(value);
    }
  } catch (cause) {
    await reader.cancel().catch(() => undefined);
    signalAborted(signal);
    if (cause instanceof BundleError) throw cause;
    throw new BundleError({ kind: 'network', url: source.locate(path) }, { cause });
  }
}

function signalAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new BundleError({ kind: 'aborted' });
}

/** Throws a BundleError where the browser gives no array of this size. */
export function allocate(path: string, bytes: number): Uint8Array<ArrayBuffer> {
  checkSize(path, bytes);
  try {
    return new Uint8Array(bytes);
  } catch (cause) {
    throw new BundleError({ kind: 'too-large', path, bytes, limit: maxFileBytes }, { cause });
  }
}

function checkSize(path: string, bytes: number): void {
  if (bytes > maxFileBytes) {
    throw new BundleError({ kind: 'too-large', path, bytes, limit: maxFileBytes });
  }
}
