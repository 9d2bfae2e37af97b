// The layers' predictions at each position of the newest text, measured in the worker: what the reader
// asks, and the newest result. inference/lens_reading.ts defines the measures.
import type { LensMeasures, LensSubject } from '../inference/lens_reading';
import { toModelErrorData } from '../inference/model_error';
import type { ModelErrorData, TokenPiece } from '../inference/model_types';
import { runKey, type Answer } from './answer';
import type { Opening } from './opening.svelte';
import type { Token } from './token';
import type { TokenPieces } from './token_pieces';

/** The reader's questions about the layers. */
export interface LensQuestion {
  readonly subject: LensSubject;
  /** A token to follow; null for none. */
  readonly token: number | null;
}

export interface MeasuredText {
  /** Tells the text and its edits, by `runKey`. */
  readonly run: string;
  readonly tokens: readonly Token[];
  readonly pieces: ReadonlyMap<number, TokenPiece>;
  readonly question: LensQuestion;
  readonly lens: string;
  readonly measures: LensMeasures;
}

export type LensStage =
  | { readonly kind: 'idle' | 'cancelled' }
  | { readonly kind: 'working'; readonly done: number; readonly of: number }
  | { readonly kind: 'failed'; readonly error: ModelErrorData };

export class LensMeasuring {
  stage = $state.raw<LensStage>({ kind: 'idle' });
  /** The newest measures; they stay while the next ones are computed. */
  found = $state.raw<MeasuredText | null>(null);
  readonly #opening: Opening;
  readonly #pieces: TokenPieces;
  #round: AbortController | null = null;
  /** The last question. */
  #asked: { readonly text: string; readonly question: LensQuestion } | null = null;

  constructor(opening: Opening, pieces: TokenPieces) {
    this.#opening = opening;
    this.#pieces = pieces;
  }

  /** Measure an answer's text, unless that is what was asked last. Never rejects: a problem is in `stage`. */
  async follow(answer: Answer, question: LensQuestion): Promise<void> {
    const { client, model } = this.#opening;
    if (client === null || model === null) return;
    const { ids } = answer.activations;
    const { tokens } = answer;
    const { lens } = model;
    const run = runKey(answer);
    const text = JSON.stringify([run, lens]);
    if (text === this.#asked?.text && covers(this.#asked.question, question)) return;
    this.#round?.abort();
    const round = new AbortController();
    this.#round = round;
    this.#asked = { text, question };
    this.stage = { kind: 'working', done: 0, of: 1 };
    const isCurrent = (): boolean => this.#round === round && !round.signal.aborted;
    try {
      const measures = await client.measureLens(
        { ids, interventions: answer.interventions, ...question },
        (done, of) => {
          if (isCurrent()) this.stage = { kind: 'working', done, of };
        },
        round.signal,
      );
      const { predictions } = measures;
      if (model.hasTokenizer && predictions !== null && isCurrent())
        await this.#pieces.learn(client, [...predictions.top, ...predictions.predicted]);
      if (!isCurrent()) return;
      this.found = { run, tokens, pieces: this.#pieces.known, question, lens, measures };
      this.stage = { kind: 'idle' };
    } catch (thrown) {
      if (!isCurrent()) return;
      this.found = null;
      this.stage = { kind: 'failed', error: toModelErrorData(thrown, 'run') };
    }
  }

  /** Leave out the rest of the runs. */
  cancel(): void {
    this.#round?.abort();
    this.stage = { kind: 'cancelled' };
  }

  /** Ask again what was cancelled or failed. */
  forget(): void {
    this.#asked = null;
  }

  /** Forget the measures of another model. */
  clear(): void {
    this.#round?.abort();
    this.#round = null;
    this.#asked = null;
    this.found = null;
    this.stage = { kind: 'idle' };
  }
}

/** Return whether the answer to one question has that to the other in it. */
function covers(asked: LensQuestion, { subject, token }: LensQuestion): boolean {
  if (subject === 'stream') return true;
  return asked.subject === 'predictions' && (token === null || token === asked.token);
}
