// Reads a file that no manifest describes: within limits, but without a digest to verify it. transfer.ts reads verified
// files.
import { BundleError } from '../bundle_error';
import type { ByteSource } from '../sources/byte_source';
import { allocate, maxFileBytes } from './file_memory';
import { eachChunk, signalAborted } from './transfer';
import { withRetries, type RetryContext } from './with_retries';

/**
 * Read a whole file. Rejects with a BundleError, as for a web page instead of the file. `onReceived` is called with the
 * number of all bytes so far.
 */
export async function readUnproven(
  source: ByteSource,
  path: string,
  context: RetryContext,
  onReceived: (bytes: number) => void,
  limit = maxFileBytes,
): Promise<Uint8Array<ArrayBuffer>> {
  let parts: Uint8Array<ArrayBuffer>[] = [];
  let received = 0;
  await persistently(source, path, context, {
    begin: () => {
      parts = [];
      received = 0;
      onReceived(0);
    },
    take: (chunk) => {
      received += chunk.length;
      if (received > limit) {
        throw new BundleError({ kind: 'too-large', path, bytes: received, limit });
      }
      parts.push(chunk);
      onReceived(received);
      return true;
    },
  });
  const whole = allocate(path, received);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Read the first `size` bytes of a file, which must have at least as many; the rest is not read. */
export async function readStart(
  source: ByteSource,
  path: string,
  size: number,
  context: RetryContext,
  onReceived: (bytes: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = allocate(path, size);
  let received = 0;
  await persistently(source, path, context, {
    begin: () => {
      received = 0;
      onReceived(0);
    },
    take: (chunk) => {
      const wanted = chunk.subarray(0, size - received);
      bytes.set(wanted, received);
      received += wanted.length;
      onReceived(received);
      return wanted.length === chunk.length;
    },
  });
  if (received < size) {
    throw new BundleError({
      kind: 'integrity',
      path,
      expected: `${size} bytes at least`,
      got: `${received} bytes`,
    });
  }
  return bytes;
}

interface Reader {
  begin(): void;
  /** Take a chunk; return false when no more is needed. */
  take(chunk: Uint8Array<ArrayBuffer>): boolean;
}

/** Read with retries, each from the first byte: without a digest, two parts might be of different files. */
async function persistently(
  source: ByteSource,
  path: string,
  context: RetryContext,
  reader: Reader,
): Promise<void> {
  const url = source.locate(path);
  await withRetries(url, context, async (until, stall) => {
    const enough = new AbortController();
    try {
      reader.begin();
      const stream = await source.open(path, AbortSignal.any([until, enough.signal]));
      if (stream.isHtml) {
        await stream.chunks.cancel();
        throw new BundleError({ kind: 'not-found', url, status: 200 });
      }
      await eachChunk(stream, url, (chunk) => {
        stall.reset();
        // A copy: readers keep their chunks, and the next chunk reuses the memory.
        if (enough.signal.aborted || reader.take(chunk.slice())) return;
        enough.abort();
      });
    } catch (thrown) {
      signalAborted(context.signal);
      if (!enough.signal.aborted) throw thrown;
    }
  });
}
