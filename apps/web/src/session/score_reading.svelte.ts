// The parts of one attention score of the open model: what made a head look at a token. inference/attribute_score.ts
// makes the runs.
import {
  attributeScore,
  scoreRuns,
  upcomingScoreEdits,
  type Score,
  type ScoreParts,
} from '../inference/attribute_score';
import { byName } from '../inference/attribute_sources';
import type { Interventions } from '../inference/interventions';
import { toModelErrorData } from '../inference/model_error';
import type { ModelErrorData, RunRequest, RunResult } from '../inference/model_types';
import type { ModelShape } from '../contract/generated';

export type ScoreStage =
  | { readonly kind: 'closed' }
  | { readonly kind: 'working'; readonly asked: Score; readonly done: number; readonly of: number }
  | { readonly kind: 'ready'; readonly asked: Score; readonly parts: ScoreParts }
  | { readonly kind: 'failed'; readonly asked: Score; readonly error: ModelErrorData };

/** Runs the open model once; rejects with kind `aborted` once the signal aborts. */
export type RunModel = (request: RunRequest, signal: AbortSignal) => Promise<RunResult>;

/** The text whose score is split. */
export interface ScoredText {
  readonly shape: ModelShape;
  readonly ids: readonly number[];
  readonly interventions: Interventions;
}

export class ScoreReading {
  stage = $state.raw<ScoreStage>({ kind: 'closed' });
  readonly #runModel: RunModel;
  #round: AbortController | null = null;

  constructor(runModel: RunModel) {
    this.#runModel = runModel;
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
    const run: Parameters<typeof attributeScore>[0] = async (text, edits, names) => {
      const { tensors } = await this.#runModel(
        {
          ids: text,
          reuseCache: false,
          keepCache: false,
          interventions: [...interventions, ...edits],
          activations: names,
          // The first run gives all activations that later ones read: one session serves all.
          upcoming: upcomingScoreEdits(asked.layer),
        },
        round.signal,
      );
      show({ kind: 'working', asked, done: ++done, of });
      return byName(tensors);
    };
    try {
      const parts = await attributeScore(run, shape, ids, asked);
      show({ kind: 'ready', asked, parts });
    } catch (thrown) {
      const error = toModelErrorData(thrown, 'run');
      if (error.kind === 'aborted') show({ kind: 'closed' });
      else show({ kind: 'failed', asked, error });
    }
  }
}
