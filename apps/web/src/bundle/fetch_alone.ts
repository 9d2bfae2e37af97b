// Two tabs that open the same model fetch each piece once: the second waits for the first, then finds it in the store.
import { inTime, startLimits } from './patience';
import { StallWatch } from './stall_watch';
import type { TransferEvents } from './transfer';

interface Means {
  readonly signal: AbortSignal;
  /** How long another tab may receive nothing before it is not waited for any more. */
  readonly quietMs: number;
}

/** Does the work; what it is given is to be called as bytes arrive. */
type Work<Result> = (onBytes: () => void) => Promise<Result>;

/** Between two signs of life to other tabs. */
const signMs = 1000;

/**
 * Runs `work` while no other tab runs any for this digest. A tab that is closed lets go; one that receives nothing for too
 * long, since it hangs or its line does, is not waited for, nor is a browser that does not say in time whether there is one.
 */
export async function fetchAlone<Result>(
  digest: string,
  { signal, quietMs }: Means,
  events: Pick<TransferEvents, 'onWaiting'>,
  work: Work<Result>,
): Promise<Result> {
  const name = `oriel-piece-${digest}`;
  const alone = (): Promise<Result> => withSigns(name, work);
  // Browsers without locks fetch twice at worst.
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
    // The lock stays with the other tab, which may yet wake up and need it; twice at worst is fetched what it has begun.
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
