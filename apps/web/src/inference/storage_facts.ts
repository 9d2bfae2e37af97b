// Reads the browser's storage use, quota and persistence, and requests persistence. Contents: bundle/storage/model_cache.ts.
import { inTime, startLimits } from '../bundle/download/retry_policy';

export interface StorageFacts {
  /** Bytes used by this page's whole origin; null where the browser does not say. This and the quota are estimates. */
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

/** Read the storage's facts. Never throws: those that the browser refuses to report are unknown. */
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

/** Request persistence. The browser may ask the visitor and wait without limit, so call it on a click only. */
export async function askToPersist(storage: StorageAnswers | undefined): Promise<KeepOutcome> {
  const granted = await answerOf(() => storage?.persist?.());
  return granted === null ? 'unavailable' : granted ? 'granted' : 'denied';
}

/** Return whether the permission was granted already, so that the browser would not ask the visitor. */
export async function mayPersistUnasked(
  permissions: Pick<Permissions, 'query'> | undefined,
): Promise<boolean> {
  const status = await promptAnswerOf(() => permissions?.query({ name: 'persistent-storage' }));
  return status?.state === 'granted';
}

/** Return the same for answers that need no visitor: null also after a timeout. */
function promptAnswerOf<Answer>(ask: () => Promise<Answer> | undefined): Promise<Answer | null> {
  return inTime(answerOf(ask), startLimits.storage, null);
}

/** Return the answer; null where the function is missing or gives none. */
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
