// Watches whether the runtime's files arrive. The runtime fetches them itself, without a timeout for a silent host.
import { BundleError } from '../bundle/bundle_error';
import { HttpByteSource } from '../bundle/sources/byte_source';
import { retryPolicy, startLimits } from '../bundle/download/retry_policy';
import { StallWatch } from '../bundle/download/stall_watch';
import { eachChunk } from '../bundle/download/transfer';

export interface ArrivalLimits {
  /** Time before the first look at the files: most runtimes have started by then. */
  readonly quietMs: number;
  /** Timeout of a file that receives no bytes. */
  readonly stallMs: number;
}

const usual: ArrivalLimits = { quietMs: startLimits.quietRuntime, stallMs: retryPolicy.stallMs };

/**
 * Request the files a second time, which the browser's cache joins to the first request where it may store them, and
 * call `onLife` with each piece. Settle once all are here, or when aborted; reject with a BundleError where one fails.
 */
export async function watchArrival(
  urls: readonly string[],
  signal: AbortSignal,
  onLife: () => void,
  { quietMs, stallMs }: ArrivalLimits = usual,
): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, quietMs);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
  const isOver = (): boolean => signal.aborted;
  for (const url of urls) {
    if (isOver()) return;
    const stall = new StallWatch(url, stallMs);
    try {
      const source = new HttpByteSource(new URL(url));
      const path = new URL(url).pathname.split('/').at(-1) ?? '';
      const stream = await source.open(path, AbortSignal.any([signal, stall.signal]));
      await eachChunk(stream, url, () => {
        stall.reset();
        onLife();
      });
    } catch (error) {
      if (signal.aborted) return;
      throw (
        stall.error ??
        (error instanceof BundleError
          ? error
          : new BundleError({ kind: 'network', url, offline: false }))
      );
    } finally {
      stall.end();
    }
  }
}
