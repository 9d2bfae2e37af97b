// Chooses the run that the page's run is compared with: the same text without the edits, another text, a kept run, or
// what a second variant or model answers (compared_model.svelte.ts). Runs the open model for it, and keeps the newest
// pair.
import { untrack } from 'svelte';
import { planActivations } from '../activations/activation_plan';
import { offerOf, takesEdits } from '../activations/activation_offer';
import { mergeRun, type ActivationSet } from '../activations/activation_set';
import { alignTokens, type AlignedPair } from '../analysis/align_tokens';
import { largest } from '../analysis/probabilities';
import { activationName, parseActivationName } from '../contract/activation_table';
import { roomForActivations } from '../inference/activation_memory';
import { isNeutral, type Interventions } from '../inference/interventions';
import type { KeptRun } from '../inference/kept_runs';
import { ModelError, toModelErrorData } from '../inference/model_error';
import type { ModelClient } from '../inference/client_interface';
import type { ModelErrorData, OpenedModel } from '../inference/model_types';
import { lensTokens, runKey, type Answer } from './answer';
import type { ComparedModel } from './compared_model.svelte';
import { describedRun } from './described_run';
import type { KeptRuns } from './kept_runs.svelte';
import type { Opening } from './opening.svelte';
import { idsOfText } from './text_numbers';
import { tokensOf } from './token';
import type { TokenPieces } from './token_pieces';

/** The reader's choice of a run to compare with. */
export type OtherSide =
  /** The variant that `ComparedModel` opens. */
  | { readonly kind: 'variant' }
  | { readonly kind: 'unedited' }
  | { readonly kind: 'text'; readonly text: string }
  /** The number of a kept run. */
  | { readonly kind: 'run'; readonly id: number };

/** One of the two runs, and the model that made it. */
export interface ComparedSide {
  readonly model: OpenedModel;
  readonly answer: Answer;
}

export interface ComparedPair {
  readonly a: ComparedSide;
  readonly b: ComparedSide;
  readonly aligned: readonly AlignedPair[];
  /** True where an id stands for the same token on both sides. */
  readonly sharesTokens: boolean;
  /** The page's text without its edits; null where it has none, or where streams were not asked for. */
  readonly unedited: ActivationSet | null;
  /** The text whose values can be computed again for a patch from B; null where B is no plain text of this model. */
  readonly patchText: string | null;
  readonly leftOut: number;
}

export type ComparisonStage =
  | { readonly kind: 'idle' | 'working' }
  | { readonly kind: 'failed'; readonly error: ModelErrorData };

export interface ComparisonParts {
  readonly opening: Opening;
  readonly pieces: TokenPieces;
  readonly compared: ComparedModel;
  readonly runs: KeptRuns;
  readonly isWithoutFirst: () => boolean;
  /** Return whether a kept run is of the model and variant that are open. */
  readonly isOfOpen: (run: KeptRun) => boolean;
  readonly inTurn: <Result>(work: () => Promise<Result>) => Promise<Result>;
}

/** Kinds whose vectors are compared position by position. */
export const STREAMS = ['resid_post', 'attn_output', 'mlp_output'] as const;
export type StreamKind = (typeof STREAMS)[number];

const LENS = ['lens_ids', 'lens_probs'] as const;
/** Multiplications per token up to which a lens of all layers is computed unasked. */
const CHEAP = 20e6;
const NAMED_CANDIDATES = 40;

/** The page's side with what a comparison needs of it, and the other side where the open model computed it. */
interface OwnRuns {
  readonly client: ModelClient;
  readonly of: Answer;
  readonly model: OpenedModel;
  readonly a: Answer;
  readonly unedited: ActivationSet | null;
  readonly b: Answer | null;
  readonly patchText: string | null;
  readonly leftOut: number;
}

export class Comparisons {
  other = $state.raw<OtherSide>({ kind: 'variant' });
  stage = $state.raw<ComparisonStage>({ kind: 'idle' });
  /** True or false where the reader chose whether streams and lens are compared; null lets their cost decide. */
  deep = $state<boolean | null>(null);
  #own = $state.raw<OwnRuns | null>(null);
  /** The newest pair; null until both sides are here. */
  readonly pair = $derived.by((): ComparedPair | null => {
    const own = this.#own;
    if (own === null) return null;
    if (own.client !== this.#parts.opening.client) return null;
    if (own.b !== null) return pairOf(own, { model: own.model, answer: own.b });
    const { comparison, model } = this.#parts.compared;
    if (comparison === null || model === null || comparison.a !== own.of) return null;
    return pairOf(own, { model, answer: answerOf(comparison.b, comparison) });
  });
  readonly #parts: ComparisonParts;
  #round: AbortController | null = null;
  /** The newest round's question, as one text. */
  #asked = '';
  #client: ModelClient | null = null;

  constructor(parts: ComparisonParts) {
    this.#parts = parts;
  }

  /** The kept run that is compared with; null for every other side. */
  get run(): KeptRun | null {
    return this.other.kind === 'run' ? (this.#parts.runs.byId(this.other.id)?.run ?? null) : null;
  }

  /** True where a second model has to be open: for another variant, and for a kept run of one. */
  get isForeign(): boolean {
    const { run } = this;
    return this.other.kind === 'variant' || (run !== null && !this.#parts.isOfOpen(run));
  }

  /** Return whether streams and lens of all layers are compared. */
  isDeep(model: OpenedModel): boolean {
    if (!takesEdits(model.variant)) return false;
    return this.deep ?? (!this.isForeign && this.costsLittle(model));
  }

  costsLittle({ manifest }: OpenedModel): boolean {
    const { layers, hidden, vocab } = manifest.model.shape;
    return layers * hidden * vocab <= CHEAP;
  }

  choose(other: OtherSide): void {
    this.#parts.compared.close();
    this.take(other);
  }

  /** Compare with what a link says; the variant that it names stays to be opened. */
  take(other: OtherSide): void {
    this.other = other;
    this.#forget();
  }

  #forget(): void {
    this.#round?.abort();
    this.#round = null;
    this.#asked = '';
    this.#own = null;
    this.stage = { kind: 'idle' };
  }

  /** Compare an answer with the other side, once there is one. */
  follow(answer: Answer): void {
    const { opening, compared } = this.#parts;
    const { client, model } = opening;
    const { run, other } = this;
    if (client === null || model === null) return;
    if (other.kind === 'run' && run === null) return;
    if (other.kind === 'text' && other.text.trim() === '') return;
    if (this.isForeign && compared.stage.kind !== 'ready') return;
    if (client !== this.#client) this.#forget();
    this.#client = client;
    const names = this.#names(model, answer);
    if (this.isForeign) compared.follow(answer, names.wanted, run);
    const asked = JSON.stringify([
      ...[
        runKey(answer),
        other,
        run,
        names.open,
        model.variant.name,
        model.lens,
        this.#parts.isWithoutFirst(),
      ],
    ]);
    // A new answer to the same question is what `compared` compares with.
    const own = untrack(() => this.#own);
    if (asked === this.#asked) {
      if (own !== null && own.of !== answer) this.#own = { ...own, of: answer };
      return;
    }
    this.#asked = asked;
    this.#begin(answer, { client, model, names });
  }

  #begin(answer: Answer, open: Open): void {
    this.#round?.abort();
    const round = new AbortController();
    this.#round = round;
    this.stage = { kind: 'working' };
    const isCurrent = (): boolean => this.#round === round && !round.signal.aborted;
    this.#compare(answer, open, round.signal).then(
      (own) => {
        if (!isCurrent()) return;
        this.#own = own;
        this.stage = { kind: 'idle' };
      },
      (thrown: unknown) => {
        if (!isCurrent()) return;
        const error = toModelErrorData(thrown, 'run');
        this.#asked = '';
        if (error.kind === 'aborted') return;
        this.#own = null;
        this.stage = { kind: 'failed', error };
      },
    );
  }

  async #compare(answer: Answer, open: Open, signal: AbortSignal): Promise<OwnRuns> {
    const { pieces, inTurn, opening } = this.#parts;
    const { client, model, names } = open;
    const { other, run } = this;
    const isOpenEnough = names.open.every((name) => answer.activations.get(name) !== null);
    const inOwnTurn = <Result>(work: () => Promise<Result>): Promise<Result> =>
      inTurn(async () => {
        if (signal.aborted || client !== opening.client) throw new ModelError({ kind: 'aborted' });
        return work();
      });
    const runOnce = (fed: Fed): Promise<ActivationSet> =>
      inOwnTurn(() => activationsOf(client, fed, isOpenEnough ? null : names.open));
    const { ids } = answer.activations;
    const { interventions } = answer;
    const isEdited = !isNeutral(interventions);
    const a = isOpenEnough ? answer.activations : await runOnce({ ids, interventions });
    const needsUnedited = isEdited && (other.kind === 'unedited' || this.isDeep(model));
    const unedited = needsUnedited ? await runOnce({ ids, interventions: [] }) : null;
    let b: Answer | null = null;
    let patchText: string | null = null;
    const sideOf = async (fed: Fed, given: ActivationSet | null = null): Promise<Answer> => {
      const activations = given ?? (await runOnce(fed));
      await learn(client, model, pieces, activations);
      return answerOf(activations, { interventions: fed.interventions, pieces: pieces.known });
    };
    const reader = { client, model, withoutFirst: this.#parts.isWithoutFirst() };
    if (other.kind === 'unedited') {
      b = await sideOf({ ids, interventions: [] }, unedited ?? a);
    } else if (other.kind === 'text') {
      b = await sideOf({ ids: await idsOfText(reader, other.text), interventions: [] });
      patchText = other.text;
    } else if (run !== null && !this.isForeign) {
      const described = await inOwnTurn(() => describedRun({ client, model }, run));
      b = await sideOf(described);
      const isPlain = isNeutral(described.interventions) && run.ids === null;
      if (isPlain && run.withoutFirst === reader.withoutFirst) patchText = run.text;
    }
    await learn(client, model, pieces, a);
    const own = { ...answer, activations: a, pieces: pieces.known };
    return { client, of: answer, model, a: own, unedited, b, patchText, leftOut: names.leftOut };
  }

  /** List what both sides are asked for, and what of it the page's own has memory for beside the rest. */
  #names(model: OpenedModel, answer: Answer): Names {
    const isDeep = this.isDeep(model);
    const { layers } = model.manifest.model.shape;
    const { exported, tappable } = offerOf(model.variant);
    const everyLayer = Array.from({ length: layers }, (_, layer) => layer);
    const maps = model.activations.filter(
      (name) => parseActivationName(name)?.kind === 'attn_probs',
    );
    const deep = everyLayer.flatMap((layer) =>
      [...LENS, ...STREAMS].map((kind) => activationName(kind, layer)),
    );
    const more = isDeep ? deep.filter((name) => exported.has(name) || tappable.has(name)) : [];
    const wanted = [...maps, ...more];
    const room = roomForActivations(model, { texts: 3, tooMuch: null, isForced: false });
    const tokens = answer.tokens.length;
    const { variant } = model;
    const plan = planActivations({ variant, wanted, tokens, room, staying: null });
    return { wanted, open: plan.open, leftOut: plan.leftOut?.names.size ?? 0 };
  }
}

interface Names {
  readonly wanted: readonly string[];
  readonly open: readonly string[];
  readonly leftOut: number;
}

interface Open {
  readonly client: ModelClient;
  readonly model: OpenedModel;
  readonly names: Names;
}

interface Fed {
  readonly ids: readonly number[];
  readonly interventions: Interventions;
}

/** Run a text by itself; null for the activations that are open. */
async function activationsOf(
  client: ModelClient,
  { ids, interventions }: Fed,
  names: readonly string[] | null,
): Promise<ActivationSet> {
  const found = await client.run({
    ...{ ids, interventions, reuseCache: false, keepCache: false },
    ...(names !== null && { activations: names }),
  });
  const activations = mergeRun(null, found);
  if (activations === null)
    throw new ModelError({ kind: 'run', detail: 'a run without its start' });
  return activations;
}

async function learn(
  client: ModelClient,
  { hasTokenizer, manifest }: OpenedModel,
  pieces: TokenPieces,
  activations: ActivationSet,
): Promise<void> {
  const { ids, lastLogits } = activations;
  if (!hasTokenizer) return;
  const isOfTokens = (manifest.model.shape.labels ?? 0) === 0;
  const likeliest = isOfTokens ? largest(lastLogits, NAMED_CANDIDATES) : [];
  await pieces.learn(client, [...ids, ...likeliest, ...lensTokens(activations)]);
}

function answerOf(
  activations: ActivationSet,
  { interventions, pieces }: Pick<Answer, 'interventions' | 'pieces'>,
): Answer {
  const { ids } = activations;
  return {
    tokens: tokensOf(ids, pieces, ids.length, []),
    ...{ activations, interventions, pieces, untouchedLogits: null, untouched: null },
  };
}

function pairOf(own: OwnRuns, b: ComparedSide): ComparedPair {
  const a = { model: own.model, answer: own.a };
  const sharesTokens = haveOneVocabulary(a.model, b.model);
  const names = ({ answer: { tokens } }: ComparedSide): (string | number)[] =>
    tokens.map(({ id, label }) => (sharesTokens ? id : label));
  return {
    ...{ a, b, sharesTokens, unedited: own.unedited, patchText: own.patchText },
    aligned: alignTokens(names(a), names(b)),
    leftOut: own.leftOut,
  };
}

/** Return whether both models have the same tokens, by their tokenizers' digests where they are two. */
function haveOneVocabulary({ manifest: a }: OpenedModel, { manifest: b }: OpenedModel): boolean {
  if (a.model.shape.vocab !== b.model.shape.vocab) return false;
  if (a.model.weights_digest !== '' && a.model.weights_digest === b.model.weights_digest)
    return true;
  const digestOf = ({ files, tokenizer }: typeof a): string | undefined =>
    files.find(({ path }) => path === tokenizer?.tokenizer)?.digest;
  return digestOf(a) === digestOf(b);
}
