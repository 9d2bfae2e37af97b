// Shows what the model expected at every token of the page's text, given the tokens before it: the probability and the
// rank of the token that stands there, and what else was likely.
import { continuesText } from '../contract/whole_text';
import { commonPrefixLength } from '../inference/key_value_cache';
import { isNeutral } from '../inference/interventions';
import type { TokenPiece } from '../inference/model_types';
import { noAlternatives, readRow, type Alternatives } from '../inference/token_alternatives';
import type { AnalysisParts } from './analysis_parts';
import { AnalysisRounds, type AnalysisStage, type Round } from './analysis_rounds.svelte';
import { runKey, type Answer } from './answer';

/** A token that was likely at a position. */
export interface Alternative {
  readonly id: number;
  readonly probability: number;
}

/** One token of the text and what the model expected in its place. */
export interface TokenStep {
  readonly position: number;
  readonly id: number;
  readonly probability: number;
  /** 0 for the likeliest. */
  readonly rank: number;
  /** Entropy of the prediction, in bits. */
  readonly entropy: number;
  /** The likeliest tokens, the likeliest first. */
  readonly likeliest: readonly Alternative[];
}

export interface FoundSteps {
  readonly answer: Answer;
  /** From the second token on, since nothing predicts the first; all where the model continues no text. */
  readonly steps: readonly TokenStep[];
  readonly pieces: ReadonlyMap<number, TokenPiece>;
}

/** Number of likeliest tokens that are read at each position. */
export const TOP = 20;

export class TokenSteps {
  readonly #parts: AnalysisParts;
  readonly #rounds: AnalysisRounds<FoundSteps>;
  #followed: Answer | null = null;

  constructor(parts: AnalysisParts) {
    this.#parts = parts;
    this.#rounds = new AnalysisRounds(parts, () => {
      this.close();
    });
  }

  get stage(): AnalysisStage {
    return this.#rounds.stage;
  }

  /** The newest steps; they stay while the next ones are computed. */
  get found(): FoundSteps | null {
    return this.#rounds.found;
  }

  get isOpen(): boolean {
    return this.#rounds.isOpen;
  }

  /** Read the text of an answer, now if the view is open, else once it is. */
  follow(answer: Answer): void {
    this.#followed = answer;
    if (this.isOpen) this.#begin();
  }

  open(): void {
    this.#rounds.open();
    this.#begin();
  }

  /** Keep nothing, and drop what is under way. */
  close(): void {
    this.#rounds.close();
  }

  /** Forget all, as for another model. */
  clear(): void {
    this.close();
    this.#followed = null;
  }

  #begin(): void {
    const answer = this.#followed;
    if (answer === null) return;
    this.#rounds.begin(runKey(answer), (round) => this.#read(answer, round));
  }

  async #read(answer: Answer, { client, model, run }: Round): Promise<FoundSteps> {
    const { pieces } = this.#parts;
    const { ids } = answer.activations;
    const continues = continuesText(model.manifest.model.shape);
    const known = continues ? this.#stepsBefore(answer) : [];
    const from = continues ? known.length + 1 : 0;
    const read =
      (continues ? this.#fromLastLogits(answer, from) : null) ??
      (await run((client) =>
        client.alternatives({ ids, interventions: answer.interventions, top: TOP, from }),
      ));
    const steps = [...known, ...stepsOf(read, ids)];
    if (model.hasTokenizer)
      await pieces.learn(
        client,
        steps.flatMap((step) => step.likeliest.map(({ id }) => id)),
      );
    return { answer, steps, pieces: pieces.known };
  }

  /**
   * Return the steps of the tokens that the last text began with as well. An edit may act otherwise in another text.
   */
  #stepsBefore(answer: Answer): readonly TokenStep[] {
    const { found } = this;
    if (found === null || !isNeutral(found.answer.interventions)) return [];
    if (!isNeutral(answer.interventions)) return [];
    const same = commonPrefixLength(found.answer.activations.ids, answer.activations.ids);
    return found.steps.slice(0, Math.max(0, same - 1));
  }

  /** Return the step of a token that was added to the last text, whose logits are here; null for any other change. */
  #fromLastLogits(answer: Answer, from: number): Alternatives | null {
    const { ids } = answer.activations;
    const top = TOP;
    if (from >= ids.length) return noAlternatives({ ids, top, from });
    const before = this.found?.answer.activations;
    // With steps of all its tokens but the last one, the text is the last one and a token.
    if (before === undefined || from !== ids.length - 1 || before.ids.length !== from) return null;
    if (from < 2 || before.lastLogits.length < top) return null;
    const read = noAlternatives({ ids, top, from });
    readRow(read, from, ids[from] ?? 0, before.lastLogits);
    return read;
  }
}

function stepsOf(read: Alternatives, ids: readonly number[]): TokenStep[] {
  const { from, top } = read;
  return Array.from(read.ranks, (rank, row) => ({
    position: from + row,
    id: ids[from + row] ?? 0,
    probability: Math.exp(read.logProbabilities[row] ?? -Infinity),
    rank,
    entropy: read.entropies[row] ?? 0,
    likeliest: Array.from({ length: top }, (_, at) => ({
      id: read.topIds[row * top + at] ?? 0,
      probability: Math.exp(read.topLogProbabilities[row * top + at] ?? -Infinity),
    })),
  }));
}
