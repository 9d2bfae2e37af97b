// Two tabs that open the same model fetch each piece once: the second waits for the first, then finds it in the store.
import { inTime, startLimits } from './patience';
import type { TransferEvents } from './transfer';

/**
 * Runs `work` while no other tab runs any for this digest. A tab that is closed lets go; a browser that does not say in
 * time whether there is another one is not waited for.
 */
export async function fetchAlone<Result>(
  digest: string,
  signal: AbortSignal,
  events: Pick<TransferEvents, 'onWaiting'>,
  work: () => Promise<Result>,
): Promise<Result> {
  const name = `oriel-piece-${digest}`;
  // Browsers without locks fetch twice at worst.
  const locks = (globalThis.navigator as Partial<Navigator> | undefined)?.locks;
  if (locks === undefined) return work();
  let hasAnswered = (): void => undefined;
  const answered = new Promise<void>((resolve) => (hasAnswered = resolve));
  let isLate = false as boolean;
  const atOnce = locks.request(name, { ifAvailable: true }, async (lock) => {
    hasAnswered();
    return lock === null || isLate ? null : { result: await work() };
  });
  isLate = await inTime(
    Promise.race([answered, atOnce]).then(() => false),
    startLimits.storage,
    true,
  );
  if (isLate) return work();
  const done = await atOnce;
  if (done !== null) return done.result;
  events.onWaiting({ reason: 'other-tab' });
  return await locks.request(name, { signal }, () => {
    events.onWaiting(null);
    return work();
  });
}
