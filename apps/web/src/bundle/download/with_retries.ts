// Retries a read that starts at the first byte each time. transfer.ts retries one that goes on where it broke off.
import { pauseAfter, waitOnline, type RetryPolicy } from './retry_policy';
import { StallWatch } from './stall_watch';
import { signalAborted } from './transfer';

export interface RetryContext {
  readonly retryPolicy: RetryPolicy;
  readonly signal: AbortSignal;
}

/**
 * Read, with retries by the policy. `read` resets the watch whenever bytes arrive, and stops at the signal, which aborts
 * with the context's signal or when the connection stalls. Rejects with the error of the last attempt.
 */
export async function withRetries<Result>(
  url: string,
  { retryPolicy, signal }: RetryContext,
  read: (until: AbortSignal, stall: StallWatch) => Promise<Result>,
): Promise<Result> {
  for (let failures = 1; ; failures++) {
    const stall = new StallWatch(url, retryPolicy.stallMs);
    try {
      return await read(AbortSignal.any([signal, stall.signal]), stall);
    } catch (thrown) {
      signalAborted(signal);
      const error = stall.error ?? thrown;
      const ms = pauseAfter(error, failures, retryPolicy);
      if (ms === null) throw error;
      await waitOnline(ms, signal).catch(() => {
        signalAborted(signal);
      });
    } finally {
      stall.end();
    }
  }
}
