// The rounds of an analysis of the page's text that a reader opens and closes: one runs at a time, a newer question
// aborts it, and what it found stays while the next one runs.
import { toModelErrorData } from '../inference/model_error';
import type { ModelClient } from '../inference/client_interface';
import type { ModelErrorData, OpenedModel } from '../inference/model_types';
import { inTurn, type AnalysisParts } from './analysis_parts';

export type AnalysisStage =
  | { readonly kind: 'closed' | 'ready' }
  /** `done` of at most `of` runs are finished. */
  | { readonly kind: 'working'; readonly done: number; readonly of: number }
  | { readonly kind: 'failed'; readonly error: ModelErrorData };

/** The input of one round. */
export interface Round {
  readonly client: ModelClient;
  readonly model: OpenedModel;
  /** Run the model, in turn with the page's own runs; rejects with kind `aborted` once the round is aborted. */
  readonly run: <Result>(call: (client: ModelClient) => Promise<Result>) => Promise<Result>;
  /** Tell how many runs are finished, of how many. */
  readonly tell: (done: number, of: number) => void;
}

export class AnalysisRounds<Found> {
  stage = $state.raw<AnalysisStage>({ kind: 'closed' });
  /** The newest round's result; it stays while the next one runs. */
  found = $state.raw<Found | null>(null);
  readonly #parts: AnalysisParts;
  readonly #onAborted: () => void;
  #round: AbortController | null = null;
  /** The newest round's question, as one text. */
  #asked = '';

  /** `onAborted` is called where the model ended a round, as when it was closed. */
  constructor(parts: AnalysisParts, onAborted: () => void) {
    this.#parts = parts;
    this.#onAborted = onAborted;
  }

  get isOpen(): boolean {
    return this.stage.kind !== 'closed';
  }

  /** Wait for a question, where none was asked yet, and ask the last one again. */
  open(): void {
    this.forget();
    if (!this.isOpen) this.stage = { kind: 'working', done: 0, of: 1 };
  }

  /** Let the next question be asked even if it is the last one. */
  forget(): void {
    this.#asked = '';
  }

  /** Leave out the rest of the runs, and keep nothing. */
  close(): void {
    this.#round?.abort();
    this.#round = null;
    this.found = null;
    this.stage = { kind: 'closed' };
  }

  /**
   * Begin a round for a question, which `asked` says in one text, and return true; false where no model is open, or where
   * it was asked last.
   */
  begin(asked: string, work: (round: Round) => Promise<Found>, of = 1): boolean {
    const { client, model } = this.#parts.opening;
    if (client === null || model === null || asked === this.#asked) return false;
    this.#asked = asked;
    this.#round?.abort();
    const round = new AbortController();
    const { signal } = round;
    this.#round = round;
    this.stage = { kind: 'working', done: 0, of };
    const isCurrent = (): boolean => this.#round === round && !signal.aborted;
    const tell = (done: number, of: number): void => {
      // A run that was under way ends behind its round's cancellation.
      if (isCurrent()) this.stage = { kind: 'working', done, of };
    };
    work({ client, model, tell, run: (call) => inTurn(this.#parts, call, signal) }).then(
      (found) => {
        if (!isCurrent()) return;
        this.found = found;
        this.stage = { kind: 'ready' };
      },
      (thrown: unknown) => {
        if (!isCurrent()) return;
        const error = toModelErrorData(thrown, 'run');
        if (error.kind === 'aborted') this.#onAborted();
        else {
          this.found = null;
          this.stage = { kind: 'failed', error };
        }
      },
    );
    return true;
  }
}
