// Lets tabs that open the same model fetch each piece once: the second waits for the first, then finds it in the store.
import { inTime, startLimits } from './retry_policy';
import { StallWatch } from './stall_watch';
import type { TransferEvents } from './transfer';

interface DownloadContext {
  readonly signal: AbortSignal;
  /** Timeout in milliseconds after which a tab that receives nothing is no longer waited for. */
  readonly quietMs: number;
}

/** A function that does the work, and calls `onBytes` as bytes arrive. */
type Work<Result> = (onBytes: () => void) => Promise<Result>;

/** Shortest time between two messages that tell other tabs that bytes arrive. */
const signMs = 1000;

/**
 * Run `work` while no other tab runs any for this digest, under a lock. Closing a tab releases its lock. The lock is
 * not waited for where the other tab receives nothing for too long, or the browser does not answer the request in time.
 */
export async function fetchAlone<Result>(
  digest: string,
  { signal, quietMs }: DownloadContext,
  events: Pick<TransferEvents, 'onWaiting'>,
  work: Work<Result>,
): Promise<Result> {
  const name = `oriel-piece-${digest}`;
  const alone = (): Promise<Result> => withSigns(name, work);
  // Without locks two tabs may fetch the same piece.
  const locks = (globalThis.navigator as Partial<Navigator> | undefined)?.locks;
  if (locks === undefined) return alone();
  let hasAnswered = (): void => undefined;
  const answered = new Promise<void>((resolve) => (hasAnswered = resolve));
  let isLate = false as boolean;
  const atOnce = locks.request(name, { ifAvailable: true }, async (lock) => {
    hasAnswered();
    return lock === null || isLate ? null : { result: await alone() };
  });
  isLate = await inTime(
    Promise.race([answered, atOnce]).then(() => false),
    startLimits.storage,
    true,
  );
  if (isLate) return alone();
  const done = await atOnce;
  if (done !== null) return done.result;
  events.onWaiting({ reason: 'other-tab' });
  const quiet = new StallWatch(name, quietMs);
  const signs = new BroadcastChannel(name);
  signs.onmessage = () => {
    quiet.reset();
  };
  const endWaiting = (): void => {
    quiet.end();
    signs.close();
    events.onWaiting(null);
  };
  let hasBegun = false as boolean;
  try {
    return await locks.request(name, { signal: AbortSignal.any([signal, quiet.signal]) }, () => {
      hasBegun = true;
      endWaiting();
      return alone();
    });
  } catch (error) {
    if (hasBegun) throw error;
    endWaiting();
    if (signal.aborted || quiet.error === null) throw error;
    // The lock is not stolen: the other tab may go on and need it. At worst the piece is fetched twice.
    return await alone();
  }
}

async function withSigns<Result>(name: string, work: Work<Result>): Promise<Result> {
  const signs = new BroadcastChannel(name);
  let last = -Infinity;
  try {
    return await work(() => {
      const now = performance.now();
      if (now - last < signMs) return;
      last = now;
      signs.postMessage(null);
    });
  } finally {
    signs.close();
  }
}
