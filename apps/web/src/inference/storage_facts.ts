// How full the browser's storage is and whether it stays, and asking for it to stay. What is kept in it: bundle/model_shelf.ts.
import { inTime, startLimits } from '../bundle/patience';

export interface StorageFacts {
  /** Of this page's whole origin; null where the browser does not say. Both are estimates. */
  usedBytes: number | null;
  quotaBytes: number | null;
  /** `evictable`: the browser may clear it when room is short. */
  persistence: 'persistent' | 'evictable' | 'unknown';
}

/** `unavailable`: this browser has no way to be asked. */
export type KeepOutcome = 'granted' | 'denied' | 'unavailable';

/** The parts of `navigator.storage` that are used; each may be missing, on pages without TLS all are. */
export type StorageAnswers = Partial<Pick<StorageManager, 'estimate' | 'persisted' | 'persist'>>;

export const unknownStorage: StorageFacts = {
  usedBytes: null,
  quotaBytes: null,
  persistence: 'unknown',
};

/** Never throws: what the browser refuses to say is unknown. */
export async function readStorage(storage: StorageAnswers | undefined): Promise<StorageFacts> {
  const [estimate, persisted] = await Promise.all([
    promptAnswerOf(() => storage?.estimate?.()),
    promptAnswerOf(() => storage?.persisted?.()),
  ]);
  return {
    usedBytes: sizeOf(estimate?.usage),
    quotaBytes: sizeOf(estimate?.quota),
    persistence: persisted === null ? 'unknown' : persisted ? 'persistent' : 'evictable',
  };
}

/** May make the browser ask the visitor, who takes any time: for a click alone. */
export async function askToPersist(storage: StorageAnswers | undefined): Promise<KeepOutcome> {
  const granted = await answerOf(() => storage?.persist?.());
  return granted === null ? 'unavailable' : granted ? 'granted' : 'denied';
}

/** The permission is there already, so that no question would come up. */
export async function mayPersistUnasked(
  permissions: Pick<Permissions, 'query'> | undefined,
): Promise<boolean> {
  const status = await promptAnswerOf(() => permissions?.query({ name: 'persistent-storage' }));
  return status?.state === 'granted';
}

/** The same of what the browser answers by itself: null also where it does not in time. */
function promptAnswerOf<Answer>(ask: () => Promise<Answer> | undefined): Promise<Answer | null> {
  return inTime(answerOf(ask), startLimits.storage, null);
}

/** null where there is nobody to ask, or no answer. */
async function answerOf<Answer>(ask: () => Promise<Answer> | undefined): Promise<Answer | null> {
  try {
    return (await ask()) ?? null;
  } catch {
    return null;
  }
}

function sizeOf(value: number | undefined): number | null {
  return value !== undefined && Number.isFinite(value) && value >= 0 ? value : null;
}
