// The attention of all heads, on the page's text and on random tokens that come twice: what the answer lacks is
// computed in runs of its own, where these cost little. Scores: analysis/head_scores.ts.
import { offerOf, takesEdits } from '../activations/activation_offer';
import { mergeRun, type ActivationSeries } from '../activations/activation_set';
import { repeatedTokens } from '../analysis/head_scores';
import { seededRandom } from '../analysis/seeded_random';
import { activationName, parseActivationName } from '../contract/activation_table';
import type { ModelShape } from '../contract/generated';
import { bytesOfActivations } from '../inference/activation_memory';
import { noInterventions, textKey, type Interventions } from '../inference/interventions';
import { ModelError, toModelErrorData } from '../inference/model_error';
import type { ModelErrorData, OpenedModel, ViewedModel } from '../inference/model_types';
import { hasRoomForAnalysis } from '../inference/session_beside';
import { inTurn, type AnalysisParts } from './analysis_parts';
import type { Answer } from './answer';

/** A text with the attention probabilities of the layers that are there, in their order. */
export interface HeadMapsOf {
  readonly ids: readonly number[];
  readonly interventions: Interventions;
  readonly layers: readonly { readonly layer: number; readonly series: ActivationSeries }[];
}

/** Random tokens, twice in a row, with the attention of all layers. */
export interface RepeatedMaps extends HeadMapsOf {
  readonly seed: number;
}

export type HeadMapsStage =
  | { readonly kind: 'idle' | 'working' }
  | { readonly kind: 'failed'; readonly error: ModelErrorData };

/** The bytes that opening the attention of all layers takes. */
export interface MapsCost {
  /** The activations that are not open but can be. */
  readonly names: readonly string[];
  /** Bytes of these for the text. */
  readonly bytes: number;
  /** True where a view may compute them without being asked. */
  readonly isCheap: boolean;
}

/** Most multiplications per token of a pass that a view makes by itself. */
const CHEAP_PASS = 20e6;
const CHEAP_BYTES = 64 * 2 ** 20;
/** Tokens before they repeat: enough for two digits of a mean. */
const REPEATED = 64;

/**
 * Return the number of random tokens that a model is measured on, before they repeat; 0 where it can't read two twice.
 */
export function repeatedLength({ context_length: context }: ModelShape): number {
  const length = Math.min(REPEATED, Math.floor(context / 2));
  return length < 2 ? 0 : length;
}

/** Compute what it takes to have the attention of all layers for so many tokens beside these open activations. */
export function costOfMaps(model: OpenedModel, open: readonly string[], tokens: number): MapsCost {
  const { shape } = model.manifest.model;
  const { exported, tappable } = offerOf(model.variant);
  const names = Array.from({ length: shape.layers }, (_, layer) =>
    activationName('attn_probs', layer),
  ).filter((name) => !open.includes(name) && (exported.has(name) || tappable.has(name)));
  const bytes = bytesOfActivations(model.variant, names, tokens);
  const { layers, hidden, intermediate } = shape;
  const pass = layers * hidden * (4 * hidden + 3 * intermediate);
  return {
    names,
    bytes,
    isCheap:
      takesEdits(model.variant) &&
      pass <= CHEAP_PASS &&
      bytes <= CHEAP_BYTES &&
      hasRoomForAnalysis(model, names, tokens),
  };
}

/** Return the maps that an answer has by itself. */
export function mapsIn({ manifest }: ViewedModel, answer: Answer): HeadMapsOf {
  const { activations, interventions } = answer;
  const { layers } = manifest.model.shape;
  return {
    ids: answer.tokens.map(({ id }) => id),
    interventions,
    layers: Array.from({ length: layers }, (_, layer) => layer).flatMap((layer) => {
      const series = activations.get(activationName('attn_probs', layer));
      return series === null ? [] : [{ layer, series }];
    }),
  };
}

export type HeadMapsParts = Pick<AnalysisParts, 'opening' | 'inTurn'>;

export class HeadMaps {
  /** The stage of the runs for the text. */
  stage = $state.raw<HeadMapsStage>({ kind: 'idle' });
  /** The stage of the measurement on random tokens. */
  measuring = $state.raw<HeadMapsStage>({ kind: 'idle' });
  /** The newest text whose maps are there; it stays while those of the next one are computed. */
  text = $state.raw<HeadMapsOf | null>(null);
  repeats = $state.raw<RepeatedMaps | null>(null);
  readonly #parts: HeadMapsParts;
  #round: AbortController | null = null;
  #measured: AbortController | null = null;
  /** The newest text, its edits and its open layers, in one text. */
  #asked = '';

  constructor(parts: HeadMapsParts) {
    this.#parts = parts;
  }

  /** Take the answer's maps, and compute those that it lacks where that is cheap. */
  follow(model: ViewedModel, answer: Answer): void {
    const own = mapsIn(model, answer);
    const asked = JSON.stringify([
      textKey(own.ids, own.interventions),
      own.layers.map(({ layer }) => layer),
    ]);
    if (asked === this.#asked) return;
    this.#asked = asked;
    // Other activations of the same text: what was computed for it still holds.
    const { layers } = model.manifest.model.shape;
    if (sameText(own, this.text) && this.text?.layers.length === layers) return;
    this.#round?.abort();
    const round = new AbortController();
    this.#round = round;
    const opened = this.#parts.opening.model;
    const open = own.layers.map(({ layer }) => activationName('attn_probs', layer));
    const cost = opened === null ? null : costOfMaps(opened, open, own.ids.length);
    if (cost === null || cost.names.length === 0 || !cost.isCheap) {
      this.text = own;
      this.stage = { kind: 'idle' };
      return;
    }
    this.stage = { kind: 'working' };
    this.#maps(own.ids, own.interventions, cost.names, round.signal).then(
      (found) => {
        if (this.#round !== round || round.signal.aborted) return;
        const layers = [...own.layers, ...found].sort((a, b) => a.layer - b.layer);
        this.text = { ...own, layers };
        this.stage = { kind: 'idle' };
      },
      (thrown: unknown) => {
        if (this.#round !== round || round.signal.aborted) return;
        this.text = own;
        this.stage = failedWith(thrown);
      },
    );
  }

  /** Compute the maps of an answer once more, after a failure. */
  retry(model: ViewedModel, answer: Answer): void {
    this.#asked = '';
    this.follow(model, answer);
  }

  /** Measure random tokens, twice in a row, in the place of the last measurement. The edits stay out of it. */
  measure(seed: number): void {
    const { model } = this.#parts.opening;
    if (model === null) return;
    const { shape } = model.manifest.model;
    const { vocab, context_length: context } = shape;
    const length = repeatedLength(shape);
    if (length === 0) return;
    this.#measured?.abort();
    const measured = new AbortController();
    this.#measured = measured;
    const ids = repeatedTokens(length, { vocab, context }, seededRandom(seed));
    const { names } = costOfMaps(model, [], ids.length);
    this.measuring = { kind: 'working' };
    this.#maps(ids, noInterventions, names, measured.signal).then(
      (found) => {
        if (measured.signal.aborted) return;
        this.repeats = { ids, interventions: noInterventions, layers: found, seed };
        this.measuring = { kind: 'idle' };
      },
      (thrown: unknown) => {
        if (!measured.signal.aborted) this.measuring = failedWith(thrown);
      },
    );
  }

  /** Forget all, as for another model. */
  clear(): void {
    this.#round?.abort();
    this.#measured?.abort();
    this.#round = null;
    this.#asked = '';
    this.text = null;
    this.repeats = null;
    this.stage = { kind: 'idle' };
    this.measuring = { kind: 'idle' };
  }

  /** Run a text beside the page's own, and return its maps by layer. */
  async #maps(
    ids: readonly number[],
    interventions: Interventions,
    names: readonly string[],
    signal: AbortSignal,
  ): Promise<HeadMapsOf['layers']> {
    const {
      texts: [text],
    } = await inTurn(
      this.#parts,
      (client) => client.runBatch({ texts: [ids], interventions, activations: names }),
      signal,
    );
    if (text === undefined)
      throw new ModelError({ kind: 'run', detail: 'a batch without its text' });
    const lastLogits = text.logits.data as Float32Array;
    const set = mergeRun(null, { ...text, start: 0, lastLogits, timings: { runMs: 0 } });
    return names.flatMap((name) => {
      const layer = parseActivationName(name)?.layer ?? null;
      const series = set?.get(name) ?? null;
      return series === null || layer === null ? [] : [{ layer, series }];
    });
  }
}

function failedWith(thrown: unknown): HeadMapsStage {
  const error = toModelErrorData(thrown, 'run');
  return error.kind === 'aborted' ? { kind: 'idle' } : { kind: 'failed', error };
}

function sameText(one: HeadMapsOf, other: HeadMapsOf | null): boolean {
  return (
    other !== null &&
    textKey(one.ids, one.interventions) === textKey(other.ids, other.interventions)
  );
}
