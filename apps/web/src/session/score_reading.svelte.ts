// The parts of one attention score of the open model: what made a head look at a token. inference/attribute_score.ts
// makes the runs.
import {
  attributeScore,
  scoreRuns,
  upcomingScoreEdits,
  type Score,
  type ScoreParts,
} from '../inference/attribute_score';
import type { Interventions } from '../inference/interventions';
import { toModelErrorData } from '../inference/model_error';
import type { BatchRequest, BatchResult, ModelErrorData } from '../inference/model_types';
import { runsTogether } from '../inference/runs_together';
import type { ModelShape } from '../contract/generated';

export type ScoreStage =
  | { readonly kind: 'closed' }
  | { readonly kind: 'working'; readonly asked: Score; readonly done: number; readonly of: number }
  | { readonly kind: 'ready'; readonly asked: Score; readonly parts: ScoreParts }
  | { readonly kind: 'failed'; readonly asked: Score; readonly error: ModelErrorData };

/** Runs texts together on the open model; rejects with kind `aborted` once the signal aborts. */
export type RunTexts = (request: BatchRequest, signal: AbortSignal) => Promise<BatchResult>;

/** The text whose score is split. */
export interface ScoredText {
  readonly shape: ModelShape;
  readonly ids: readonly number[];
  readonly interventions: Interventions;
}

export class ScoreReading {
  stage = $state.raw<ScoreStage>({ kind: 'closed' });
  readonly #runTexts: RunTexts;
  #round: AbortController | null = null;

  constructor(runTexts: RunTexts) {
    this.#runTexts = runTexts;
  }

  close(): void {
    this.#round?.abort();
    this.#round = null;
    this.stage = { kind: 'closed' };
  }

  /** Split a score; one that is being split is left. Never rejects. */
  async read({ shape, ids, interventions }: ScoredText, asked: Score): Promise<void> {
    this.close();
    const round = new AbortController();
    this.#round = round;
    const of = scoreRuns(shape, asked.layer);
    let done = 0;
    const show = (stage: ScoreStage): void => {
      if (this.#round === round) this.stage = stage;
    };
    show({ kind: 'working', asked, done, of });
    const runBatch = async (request: BatchRequest): Promise<BatchResult> => {
      const result = await this.#runTexts(
        {
          ...request,
          interventions: [...interventions, ...(request.interventions ?? [])],
          // The first run gives all activations that later ones read: one session serves all.
          upcoming: upcomingScoreEdits(asked.layer),
        },
        round.signal,
      );
      done += request.texts.length;
      show({ kind: 'working', asked, done, of });
      return result;
    };
    const run = runsTogether({ runBatch, shape, names: [] });
    try {
      const parts = await attributeScore(run, shape, ids, asked, true);
      show({ kind: 'ready', asked, parts });
    } catch (thrown) {
      const error = toModelErrorData(thrown, 'run');
      if (error.kind === 'aborted') show({ kind: 'closed' });
      else show({ kind: 'failed', asked, error });
    }
  }
}
