// Two tabs that open the same model fetch each piece once: the second waits for the first, then finds it in the store.
import type { TransferEvents } from './transfer';

/** Runs `work` while no other tab runs any for this digest. A tab that is closed lets go. */
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
  const atOnce = await locks.request(name, { ifAvailable: true }, async (lock) =>
    lock === null ? null : { result: await work() },
  );
  if (atOnce !== null) return atOnce.result;
  events.onWaiting({ reason: 'other-tab' });
  return await locks.request(name, { signal }, () => {
    events.onWaiting(null);
    return work();
  });
}
