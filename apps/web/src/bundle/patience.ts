// How often and how long a download is tried again. The trying is transfer.ts.
import { BundleError } from './bundle_error';

export interface Patience {
  /** Failures in a row, without worthwhile progress between them, after which it is given up. */
  readonly attempts: number;
  /** Waited after the first failure; twice as long after each further one. */
  readonly firstWaitMs: number;
  /** The longest wait, and the longest that a server may ask for: a reader should hear of more. */
  readonly longestWaitMs: number;
  /** A connection that gives nothing for so long is given up and made anew. */
  readonly stallMs: number;
  /** Bytes of one attempt that count as progress. */
  readonly worthwhileBytes: number;
}

export const patience: Patience = {
  attempts: 5,
  firstWaitMs: 500,
  longestWaitMs: 30_000,
  stallMs: 20_000,
  worthwhileBytes: 256 * 1024,
};

/** Milliseconds that the start of the page waits for one thing, in silence, before it goes on without or says what is missing. */
export const startLimits = {
  /** The list of models. Who names a model in the link waits for none. */
  list: 10_000,
  /** One answer of the browser's storage: a folder, a file, a lock, its size. Without it nothing is kept. */
  storage: 4000,
  /** The list of all that is kept, with its sizes. */
  shelf: 15_000,
  /** The GPU's adapter. Without it the page uses WebAssembly. */
  adapter: 6000,
  /** The runtime, before the page looks whether its files arrive at all. */
  quietRuntime: 10_000,
  /** The first word of the model's worker. */
  worker: 45_000,
  /** The runtime's start, once its files are here. */
  runtime: 45_000,
} as const;

/**
 * The promise's value, or `late` where it takes longer. A rejection is passed on. Time in which this thread was busy,
 * as with reading a large file, does not count: what was answered meanwhile could not be heard.
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
 * Milliseconds to wait after the failure `failures` (1 …): doubling, with up to a quarter more by chance,
 * lest thirty readers in one room come back at once. What the server asked for is kept to.
 * null: longer than is bearable.
 */
export function waitAfter(
  failures: number,
  retryAfterMs: number | null,
  { firstWaitMs, longestWaitMs }: Patience,
  chance: number,
): number | null {
  const own = firstWaitMs * 2 ** (failures - 1) * (1 + chance / 4);
  if (retryAfterMs !== null && retryAfterMs > longestWaitMs) return null;
  return Math.min(longestWaitMs, Math.max(own, retryAfterMs ?? 0));
}

/** How long to wait before the next attempt; null where there is no use in one. */
export function pauseAfter(error: unknown, failures: number, patience: Patience): number | null {
  if (!(error instanceof BundleError) || failures >= patience.attempts) return null;
  const { data } = error;
  const mayPass = data.kind === 'network' || data.kind === 'stalled' || data.kind === 'server';
  if (!mayPass) return null;
  const retryAfterMs = data.kind === 'server' ? data.retryAfterMs : null;
  return waitAfter(failures, retryAfterMs, patience, Math.random());
}

/** Ends early when the network comes back, and rejects at once when aborted. */
export function waitOnline(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    // Neither pages nor workers lack it; tests do.
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
