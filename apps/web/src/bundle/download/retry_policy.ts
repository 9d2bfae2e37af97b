// The retry policy of downloads and the timeouts of the page's start. transfer.ts does the retries.
import { BundleError } from '../bundle_error';

export interface RetryPolicy {
  /** Number of consecutive failures, without enough progress between them, after which a download fails. */
  readonly attempts: number;
  /** Wait after the first failure; doubled after each further one. */
  readonly firstWaitMs: number;
  /** The longest wait, and the longest that a server may ask for; beyond it the visitor gets an error. */
  readonly maxWaitMs: number;
  /** Timeout after which a connection that receives nothing is closed and the download retried. */
  readonly stallMs: number;
  /** Number of bytes in one attempt that count as progress and reset the failures. */
  readonly worthwhileBytes: number;
}

export const retryPolicy: RetryPolicy = {
  attempts: 5,
  firstWaitMs: 500,
  maxWaitMs: 30_000,
  stallMs: 20_000,
  worthwhileBytes: 256 * 1024,
};

/** Timeouts of the page's start, in milliseconds, after which it goes on without something or says what is missing. */
export const startLimits = {
  /** The list of models. A link that names a model does not wait for it. */
  list: 10_000,
  /** One answer of the browser's storage: a folder, a file, a lock, its size. Without it nothing is stored. */
  storage: 4000,
  /** The list of all stored models, with their sizes. */
  modelCache: 15_000,
  /** The GPU's adapter. Without it the page uses WebAssembly. */
  adapter: 6000,
  /** The runtime, before the page checks whether its files arrive at all. */
  quietRuntime: 10_000,
  /** The first message of the model's worker. */
  worker: 45_000,
  /** The first message of the download's worker. Without it the model's worker downloads itself. */
  downloadWorker: 5000,
  /** The runtime's start, once its files have arrived. */
  runtime: 45_000,
} as const;

/**
 * Return the promise's value, or `late` after a timeout. A rejection is passed on. Time in which this thread was busy,
 * as with reading a large file, does not count: an answer in that time could not be handled.
 */
export async function inTime<Value, Late>(
  promise: Promise<Value>,
  ms: number,
  late: Late,
): Promise<Value | Late> {
  const parts = 8;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<Late>((resolve) => {
    const wait = (left: number): void => {
      if (left === 0) resolve(late);
      else timer = setTimeout(wait, ms / parts, left - 1);
    };
    wait(parts);
  });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Return the milliseconds to wait after failure number `failures` (1 …): doubling, plus up to a quarter at random,
 * so that thirty readers in one room do not retry at once. At least as long as the server asked for; null where
 * that is longer than the longest wait.
 */
export function waitAfter(
  failures: number,
  retryAfterMs: number | null,
  { firstWaitMs, maxWaitMs }: RetryPolicy,
  chance: number,
): number | null {
  const own = firstWaitMs * 2 ** (failures - 1) * (1 + chance / 4);
  if (retryAfterMs !== null && retryAfterMs > maxWaitMs) return null;
  return Math.min(maxWaitMs, Math.max(own, retryAfterMs ?? 0));
}

/** Return the milliseconds to wait before the next attempt; null where no retry should follow. */
export function pauseAfter(
  error: unknown,
  failures: number,
  retryPolicy: RetryPolicy,
): number | null {
  if (!(error instanceof BundleError) || failures >= retryPolicy.attempts) return null;
  const { data } = error;
  const mayPass = data.kind === 'network' || data.kind === 'stalled' || data.kind === 'server';
  if (!mayPass) return null;
  const retryAfterMs = data.kind === 'server' ? data.retryAfterMs : null;
  return waitAfter(failures, retryAfterMs, retryPolicy, Math.random());
}

/** Wait so many milliseconds; resolve early when the network comes back, and reject at once when aborted. */
export function waitOnline(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    // Pages and workers have these methods; tests may not.
    const network = globalThis as Partial<EventTarget>;
    const end = (then: () => void): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', aborted);
      network.removeEventListener?.('online', online);
      then();
    };
    const aborted = (): void => {
      end(() => {
        reject(new Error('aborted'));
      });
    };
    const online = (): void => {
      end(resolve);
    };
    const timer = setTimeout(online, ms);
    if (signal.aborted) aborted();
    else signal.addEventListener('abort', aborted, { once: true });
    network.addEventListener?.('online', online, { once: true });
  });
}
