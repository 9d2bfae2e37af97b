// A second variant, or a second model, that runs the page's text or one of its own in a worker of its own; closing it
// frees its memory.
/* eslint-disable svelte/prefer-svelte-reactivity -- maps here are internal; the view follows `comparison`, which is replaced whole */
import { largest } from '../analysis/probabilities';
import { toModelErrorData } from '../inference/model_error';
import type { ModelClient } from '../inference/client_interface';
import type { OpenedModel, OpenRequest, TokenPiece } from '../inference/model_types';
import { bytesOfActivations, roomForActivations } from '../inference/activation_memory';
import { areSame, planActivations, type LeftOut } from '../activations/activation_plan';
import type { ActivationSet } from '../activations/activation_set';
import { offerOf } from '../activations/activation_offer';
import type { Interventions } from '../inference/interventions';
import type { KeptRun } from '../inference/kept_runs';
import { lensTokens, type Answer } from './answer';
import { describedRun } from './described_run';
import type { Stage } from './opening.svelte';
import { Runs } from './runs.svelte';

/** The page's answer and the other's: to the same text with the same interventions, or to what a kept run says. */
export interface Comparison {
  /** The page's own answer. */
  a: Answer;
  /** The other variant's, or the other model's. */
  b: ActivationSet;
  interventions: Interventions;
  /** The kept run that was asked for; null where it reads the page's text. */
  of: KeptRun | null;
  /** The bytes of its tokens, and of every token that it, or the page's own variant, finds likely. */
  pieces: ReadonlyMap<number, TokenPiece>;
}

const NAMED_CANDIDATES = 40;

export class ComparedModel {
  stage = $state.raw<Stage>({ kind: 'idle' });
  model = $state.raw<OpenedModel | null>(null);
  /** The newest text that both have read; null until there is one. */
  comparison = $state.raw<Comparison | null>(null);
  /** Attention maps of the page's own variant that there is no memory for a second time. */
  leftOut = $state.raw<LeftOut | null>(null);
  /** Variant that a link names and that was not opened yet. */
  linked = $state<string | null>(null);

  readonly #makeClient: () => ModelClient;
  #client: ModelClient | null = null;
  #opening: AbortController | null = null;
  #request = $state.raw<OpenRequest | null>(null);
  readonly #runs = new Runs(() => this.#answerOnce(), false);
  /** Names of the maps that its session gives. */
  #maps: readonly string[] = [];
  /** The page's current answer and maps. */
  #followed: Wanted | null = null;

  constructor(makeClient: () => ModelClient) {
    this.#makeClient = makeClient;
  }

  /** Name of the variant that is open or being opened. */
  get variant(): string | null {
    return this.#request?.variant ?? null;
  }

  /** Open the variant. It runs nothing before `follow` is called. */
  async open(request: OpenRequest & { variant: string }): Promise<void> {
    this.close();
    const client = this.#makeClient();
    const opening = new AbortController();
    this.#client = client;
    this.#opening = opening;
    this.#request = request;
    this.stage = { kind: 'opening', progress: null };
    try {
      const model = await client.open(
        request,
        (progress) => {
          if (client === this.#client) this.stage = { kind: 'opening', progress };
        },
        opening.signal,
      );
      if (client !== this.#client) return;
      this.model = model;
      this.#maps = request.activations ?? [];
      this.stage = { kind: 'ready' };
      void this.#runs.request();
    } catch (thrown) {
      if (client === this.#client)
        this.stage = { kind: 'failed', error: toModelErrorData(thrown, 'session') };
    }
  }

  abortOpening(): void {
    this.#opening?.abort();
  }

  close(): void {
    this.#client?.close();
    this.#client = null;
    this.#request = null;
    this.linked = null;
    this.#runs.clear();
    this.model = null;
    this.leftOut = null;
    this.comparison = null;
    this.stage = { kind: 'idle' };
  }

  /** Run the text of this answer, or a kept run, with these activations open as far as the variant has them. */
  follow(answer: Answer, activations: readonly string[], of: KeptRun | null = null): void {
    this.#followed = { answer, activations, of };
    void this.#runs.request();
  }

  async #answerOnce(): Promise<void> {
    if (this.#followed !== null) await this.#read(this.#followed);
  }

  async #read({ answer, activations, of }: Wanted): Promise<void> {
    const client = this.#client;
    const model = this.model;
    if (client === null || model === null) return;
    try {
      await this.#openMaps(client, model, answer, activations);
      const { ids, interventions } =
        of === null
          ? { ids: answer.activations.ids, interventions: answer.interventions }
          : await describedRun({ client, model }, of);
      const { activations: b } = await this.#runs.run(client, ids, interventions);
      // Another model's tokens have other bytes.
      const pieces = new Map(of === null ? answer.pieces : []);
      if (model.hasTokenizer) {
        const isOfTokens = (model.manifest.model.shape.labels ?? 0) === 0;
        const likeliest = isOfTokens ? largest(b.lastLogits, NAMED_CANDIDATES) : [];
        const named = [...ids, ...likeliest, ...lensTokens(b)];
        const unknown = [...new Set(named)].filter((id) => !pieces.has(id));
        for (const piece of await client.pieces(unknown)) pieces.set(piece.id, piece);
      }
      if (client === this.#client) this.comparison = { a: answer, b, interventions, of, pieces };
    } catch (thrown) {
      if (client !== this.#client) return;
      const error = toModelErrorData(thrown, 'run');
      if (error.kind === 'aborted') return;
      this.model = null;
      this.comparison = null;
      this.stage = { kind: 'failed', error };
    }
  }

  /** Open as many maps as there is memory for beside the page's own. */
  async #openMaps(
    client: ModelClient,
    model: OpenedModel,
    answer: Answer,
    activations: readonly string[],
  ): Promise<void> {
    const { exported, tappable } = offerOf(model.variant);
    const wanted = activations.filter((name) => exported.has(name) || tappable.has(name));
    const tokens = answer.tokens.length;
    const taken = bytesOfActivations(model.variant, answer.activations.names, tokens);
    const { bytes, limit } = roomForActivations(model, {
      texts: 1,
      tooMuch: null,
      isForced: false,
    });
    const room = { bytes: Math.max(0, bytes - taken), limit };
    const { variant } = model;
    const plan = planActivations({ variant, wanted, tokens, room, staying: this.#maps });
    this.leftOut = plan.leftOut;
    if (areSame(plan.open, this.#maps)) return;
    const changed = await client.setActivations(plan.open);
    if (client !== this.#client) return;
    this.model = changed;
    this.#maps = plan.open;
    this.#runs.clear();
  }
}

interface Wanted {
  answer: Answer;
  activations: readonly string[];
  of: KeptRun | null;
}
