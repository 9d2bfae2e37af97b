// The notice about the text or the last run that the reader should know.
import { toModelErrorData } from '../inference/model_error';
import type { ModelErrorData } from '../inference/model_types';

/** The answer before it stays. */
export type Notice =
  | { kind: 'too-long'; tokens: number; limit: number; complete: boolean }
  | { kind: 'not-ids'; text: string; vocab: number }
  | { kind: 'error'; error: ModelErrorData };

export class Notices {
  current = $state.raw<Notice | null>(null);
  readonly #onError: (error: ModelErrorData) => void;

  constructor(onError: (error: ModelErrorData) => void) {
    this.#onError = onError;
  }

  /** Show what was thrown, unless it was a run that a newer one replaced. */
  report(thrown: unknown): void {
    const error = toModelErrorData(thrown, 'run');
    if (error.kind === 'aborted') return;
    this.#onError(error);
    this.current = { kind: 'error', error };
  }
}
