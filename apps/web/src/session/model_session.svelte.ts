// The page's open model: opens it, runs the text through it, generates. The reader's selection is in views/viewing.
/* eslint-disable svelte/prefer-svelte-reactivity -- maps here are internal; views follow `answer`, which is replaced whole */
import { largest } from '../analysis/probabilities';
import { drawToken, samplingDistribution, type SamplingSettings } from '../analysis/sampling';
import { BudgetedCache } from '../inference/budgeted_cache';
import {
  applicable,
  interventionKey,
  isNeutral,
  noInterventions,
  type Interventions,
} from '../inference/interventions';
import { toModelErrorData } from '../inference/model_error';
import type {
  Attempt,
  Choice,
  ModelClient,
  ModelErrorData,
  OpenedModel,
  OpenRequest,
  Progress,
  Provider,
  RunResult,
  Survey,
  TokenPiece,
} from '../inference/model_types';
import { canIntervene } from '../activations/activation_offer';
import type { Answer, Shown } from './answer';
import { ChosenActivations, type Reading } from '../activations/chosen_activations.svelte';
import { exampleOf, type Example } from './published_example';
import { mergeRun, type ActivationSet } from '../activations/activation_set';
import { sameIds } from './stored_ids';
import { storedMemoryRecords, type MemoryRecords } from '../activations/memory_records';
import { EMPTY_PROMPT, PromptState, type PromptEntry } from './prompt_state.svelte';
import {
  endTokensOf,
  firstTokensOf,
  readPrompt,
  textAfter,
  withoutLastToken,
  type TextModel,
} from './read_prompt';
import { labelOf, tokensOf } from './token';
import { failureOf } from '../inference/variant_offers';

export type Stage =
  | { kind: 'idle' }
  | { kind: 'opening'; progress: Progress | null }
  | { kind: 'ready' }
  | { kind: 'failed'; error: ModelErrorData };

/** Something about the text or the last run that the reader should know; the answer before it stays. */
export type Notice =
  | { kind: 'too-long'; tokens: number; limit: number; complete: boolean }
  | { kind: 'not-ids'; text: string; vocab: number }
  | { kind: 'error'; error: ModelErrorData };

export interface RunTimes {
  /** The last run that fed more than one token. */
  prompt: { tokens: number; ms: number } | null;
  /** The last run that fed one token to a filled cache. */
  step: { total: number; ms: number } | null;
  /** From the page's opening to the first answer. */
  firstAnswerMs: number | null;
}

/** Changes to a request. Null leaves the variant to the device, or the activations to the model. */
export type Retry = Partial<Omit<OpenRequest, 'variant' | 'activations'>> & {
  variant?: string | null;
  activations?: readonly string[] | null;
};

export type GenerationEnd =
  | { reason: 'context-full' }
  /** `token` is how the token that ended the text is shown. */
  | { reason: 'end-token'; token: string };

/** Maximum for the activations of earlier interventions, those of the last ones and of none among them. */
const CACHED_BYTES = 64 * 2 ** 20;
const TYPING_PAUSE_MS = 140;
/** Slower than the model can be, so that the eye can follow a token appear. */
const TOKEN_PACE_MS = 110;
const NAMED_CANDIDATES = 60;

export class ModelSession {
  stage = $state.raw<Stage>({ kind: 'idle' });
  model = $state.raw<OpenedModel | null>(null);
  /** The variants that the device can open, and the one being opened; known long before the weights have arrived. */
  survey = $state.raw<Survey | null>(null);
  /** The choice that the device makes by itself, without the reader's. */
  suited = $state.raw<Choice | null>(null);
  /** The text in the box, with its history. */
  readonly text = new PromptState();
  /** The requested activations, and those of them that are open. */
  readonly chosen: ChosenActivations;
  /** True where the text is the reader's own or a link's; else a model may bring its own example. */
  ownPrompt = $state(false);
  /** True where stored ids no longer fit the text or the model, so that the tokenizer's ids replaced them. */
  idsGivenUp = $state(false);
  answer = $state.raw<Answer | null>(null);
  notice = $state.raw<Notice | null>(null);
  /** Why the last request did not replace the open model; null where no request was declined. */
  declined = $state.raw<ModelErrorData | null>(null);
  interventions = $state.raw<Interventions>(noInterventions);
  /** True while another model or variant is being checked before it replaces the open one. */
  looking = $state(false);
  /** True while a run or a change of taps is under way. */
  busy = $state(false);
  generating = $state(false);
  generationEnd = $state.raw<GenerationEnd | null>(null);
  times = $state.raw<RunTimes>({ prompt: null, step: null, firstAnswerMs: null });
  /** Duration of the last change of taps in milliseconds, from the click to the rebuilt session. */
  tapMs = $state<number | null>(null);

  /** True where the publisher's example could not be used; the model itself opens all the same. */
  exampleFailed = $state(false);
  #published = $state.raw<Example | null>(null);
  readonly #makeClient: () => ModelClient;
  readonly #random: () => number;
  #client: ModelClient | null = null;
  #opening: AbortController | null = null;
  #request = $state.raw<OpenRequest | null>(null);
  /** Counts openings, so that an answer of an older one is dropped. */
  #era = 0;
  /** Counts requests to replace the open model, so that only the newest one is followed. */
  #wishes = 0;
  /** Address of the surveyed model. */
  #surveyed: string | null = null;
  /** Address of the model whose example is held. */
  #publishedAt: string | null = null;
  /** Variants and providers of the current model that broke down. */
  #tried: readonly Attempt[] = [];

  /** Ids that are fed: the first tokens and as much of the text as the model can read. */
  #ids: readonly number[] = [];
  /** Ids of the whole text, without the first tokens; null where only its beginning was cut into tokens. */
  #body: readonly number[] | null = [];
  #pieces = new Map<number, TokenPiece>();
  /** Activations by interventions, for the texts that the engine's cache holds too. */
  readonly #cached = new BudgetedCache<ActivationSet>({
    maxBytes: CACHED_BYTES,
    pinned: interventionKey(noInterventions),
  });
  #untouched: { ids: readonly number[]; logits: Float32Array } | null = null;

  #wanted = false;
  #pumping: Promise<void> | null = null;
  #last: Promise<unknown> = Promise.resolve();
  #underWay = 0;
  #typing: ReturnType<typeof setTimeout> | null = null;
  #edits = 0;

  constructor(
    makeClient: () => ModelClient,
    random: () => number = Math.random,
    records: MemoryRecords = storedMemoryRecords(
      () => localStorage,
      () => sessionStorage,
    ),
  ) {
    this.#makeClient = makeClient;
    this.#random = random;
    this.chosen = new ChosenActivations(records);
  }

  get provider(): Provider | 'auto' {
    return this.#request?.provider ?? 'auto';
  }

  /** The variant asked for; null where the device chooses. */
  get variant(): string | null {
    return this.#request?.variant ?? null;
  }

  /** True where a model was requested, so that it can be requested again. */
  get hasRequest(): boolean {
    return this.#request !== null;
  }

  /** The publisher's example, while there is no answer yet and its text stands unchanged in the box. */
  get example(): Example | null {
    const waiting =
      this.answer === null &&
      this.notice === null &&
      (this.stage.kind === 'opening' || this.stage.kind === 'ready');
    const asPublished =
      this.prompt === this.#published?.prompt &&
      this.text.now.ids === null &&
      !this.text.now.withoutFirst;
    return waiting && isNeutral(this.interventions) && asPublished ? this.#published : null;
  }

  get shown(): Shown | null {
    if (this.model !== null && this.answer !== null)
      return { model: this.model, answer: this.answer, live: true };
    const { example } = this;
    return example && { model: example.model, answer: example.answer, live: false };
  }

  /** The worker to ask about cached models; null where none is sure to answer. */
  get keeper(): Pick<ModelClient, 'cachedModels' | 'forget' | 'close'> | null {
    return this.stage.kind === 'opening' || this.stage.kind === 'ready' ? this.#client : null;
  }

  get prompt(): string {
    return this.text.now.text;
  }

  /** Tokens that the open model's tokenizer puts before every text, also where the reader took them away. */
  get firstTokens(): readonly number[] {
    const manifest = (this.model ?? this.example?.model)?.manifest;
    return manifest === undefined ? [] : firstTokensOf(manifest);
  }

  get ids(): readonly number[] {
    return this.#ids;
  }

  /** Return whether exactly this request is open, so that a changed address needs no new opening. */
  isOpenAs(request: OpenRequest): boolean {
    return this.stage.kind === 'ready' && fieldsOf(request) === fieldsOf(this.#request);
  }

  // ---- opening -------------------------------------------------------------------------------

  /** True while no model was requested yet because the page waits for something of its own. */
  get waitsForPage(): boolean {
    if (this.stage.kind !== 'opening') return false;
    const phase = this.stage.progress?.phase;
    return phase === 'list' || phase === 'page';
  }

  /**
   * Show that the page waits for something of its own before it opens a model. False where the reader has stopped
   * that or opened something else meanwhile.
   */
  async waitFor(phase: 'list' | 'page', arriving: Promise<void>): Promise<boolean> {
    const era = ++this.#era;
    this.#end();
    const opening = new AbortController();
    this.#opening = opening;
    const progress = { phase, receivedBytes: 0, totalBytes: 0, keptBytes: 0, waiting: null };
    this.stage = { kind: 'opening', progress };
    const stopped = new Promise<void>((resolve) => {
      opening.signal.addEventListener('abort', () => {
        resolve();
      });
    });
    await Promise.race([arriving, stopped]);
    if (era !== this.#era) return false;
    if (opening.signal.aborted) this.#fail({ kind: 'aborted' });
    return !opening.signal.aborted;
  }

  async open(request: OpenRequest): Promise<void> {
    const era = ++this.#era;
    if (request.url !== this.#request?.url) this.#tried = [];
    this.stop();
    this.#opening?.abort();
    this.#client?.close();
    let client: ModelClient;
    try {
      client = this.#makeClient();
    } catch (thrown) {
      // A frame of another page may forbid workers.
      this.#end();
      this.#request = request;
      this.#fail(toModelErrorData(thrown, 'session'));
      return;
    }
    const opening = new AbortController();
    this.#client = client;
    this.#opening = opening;
    this.#request = request;
    this.chosen.ask(request.activations ?? null);
    this.#forget();
    this.model = null;
    this.answer = null;
    this.notice = null;
    this.declined = null;
    this.#pieces = new Map();
    this.stage = { kind: 'opening', progress: null };
    // First: it is small, and asked for before any weights are.
    void this.#lookAtExample(client, request, era);
    void this.#look(client, request, era);
    try {
      const model = await client.open(
        this.#tried.length === 0 ? request : { ...request, tried: this.#tried },
        (progress) => {
          if (era === this.#era) this.stage = { kind: 'opening', progress };
        },
        opening.signal,
      );
      if (era !== this.#era) return;
      this.model = model;
      this.chosen.begin(model);
      this.stage = { kind: 'ready' };
      this.#takeExampleText(model.manifest.first_pass?.prompt);
      if (model.tokenizerTrouble !== null) this.#takeIds();
      this.interventions = canIntervene(model.variant)
        ? applicable(this.interventions, model.manifest.model.shape)
        : noInterventions;
      await this.#readPrompt();
    } catch (thrown) {
      if (era !== this.#era) return;
      this.#fail(toModelErrorData(thrown, 'session'));
    }
  }

  async #lookAtExample(client: ModelClient, request: OpenRequest, era: number): Promise<void> {
    if (this.#published !== null && request.url === this.#publishedAt) return;
    this.#published = null;
    this.exampleFailed = false;
    try {
      const pass = await client.firstPass(request);
      if (era !== this.#era || pass === null) return;
      this.#takeExampleText(pass.prompt);
      this.#published = exampleOf(pass);
      this.#publishedAt = request.url;
    } catch (thrown) {
      const { kind } = toModelErrorData(thrown, 'session');
      // A manifest that cannot be fetched is reported by the opening.
      const own = kind === 'integrity' || kind === 'too-large' || kind === 'not-found';
      if (era === this.#era) this.exampleFailed = own;
    }
  }

  /** Take the model's example text where the page was opened without a text. */
  #takeExampleText(text: string | undefined): void {
    if (!this.ownPrompt && text !== undefined) this.#takeText({ ...EMPTY_PROMPT, text });
  }

  /** Take a text that the reader did not write; the reader's earlier edits can still be undone. */
  #takeText(entry: PromptEntry): void {
    if (this.text.canUndo || this.ownPrompt) this.text.change(entry, null, performance.now());
    else this.text.reset(entry);
  }

  /** Write the known ids, the link's or the example's, into the box where the model has no tokenizer. */
  #takeIds(): void {
    const { text, ids } = this.text.now;
    const example = this.#published?.prompt === text ? this.#published.answer.tokens : [];
    const known = ids ?? example.map(({ id }) => id);
    if (known.length > 0)
      this.#takeText({ ...EMPTY_PROMPT, text: known.join(' '), withoutFirst: true });
  }

  /** Survey the variants while the model opens: neither waits for the other. */
  async #look(client: ModelClient, request: OpenRequest, era: number): Promise<void> {
    // The same bundle on the same device has the same variants: what is shown stays meanwhile.
    if (this.#surveyed !== request.url) {
      this.survey = null;
      this.suited = null;
    }
    try {
      const survey = await client.survey(request);
      if (era !== this.#era) return;
      this.survey = survey;
      this.#surveyed = request.url;
      const { url, local } = request;
      const free = request.variant === undefined && request.provider === 'auto';
      const own = free
        ? survey
        : await client.survey({
            url,
            provider: 'auto',
            ...(local && { local }),
          });
      if (era === this.#era) this.suited = own.offer.choice;
    } catch {
      // The opening reports an invalid manifest.
    }
  }

  /** Open nothing, and show the reason. */
  refuse(error: ModelErrorData): void {
    this.#era++;
    this.#end();
    this.#fail(error);
  }

  /** Release the model that is open or being opened. */
  #end(): void {
    this.stop();
    this.#opening?.abort();
    this.#client?.close();
    this.#client = null;
    this.#request = null;
    this.#surveyed = null;
    this.survey = null;
    this.suited = null;
    this.model = null;
    this.answer = null;
  }

  /** True where a model is open or being opened, which another opening would replace. */
  get holdsModel(): boolean {
    return this.#request !== null && (this.stage.kind === 'ready' || this.stage.kind === 'opening');
  }

  /**
   * Check, while a model is open, whether another one may replace it. False where that one can't be opened, for the
   * reason in `declined`, or a newer request was made; the open model then stays. A request that is a promise may
   * reject as refused, or resolve to null where the requested model is open already.
   */
  async mayOpen(request: OpenRequest | Promise<OpenRequest | null>): Promise<boolean> {
    const client = this.#client;
    const options = ++this.#wishes;
    const isNewest = (): boolean => options === this.#wishes && client === this.#client;
    this.declined = null;
    this.looking = true;
    try {
      const wanted = await request;
      if (!isNewest()) return false;
      if (wanted !== null && this.stage.kind === 'ready') await client?.reach(wanted);
      return isNewest();
    } catch (thrown) {
      const error = toModelErrorData(thrown, 'session');
      if (isNewest() && error.kind !== 'aborted') this.declined = error;
      return false;
    } finally {
      if (options === this.#wishes) this.looking = false;
    }
  }

  /** Number of the newest request to replace the open model. */
  get options(): number {
    return this.#wishes;
  }

  /** Drop the request to replace the open model. */
  stay(): void {
    this.#wishes++;
    this.looking = false;
  }

  /** Open the same model with these changes, where that is possible. */
  async change(changes: Retry): Promise<void> {
    const request = this.#changed(changes);
    if (request !== null && (await this.mayOpen(request))) await this.open(request);
  }

  abortOpening(): void {
    this.#opening?.abort();
  }

  /** Open the same again with these changes. */
  async retry(changes: Retry = {}): Promise<void> {
    const request = this.#changed(changes);
    if (request !== null) await this.open(request);
  }

  #changed(changes: Retry): OpenRequest | null {
    if (this.#request === null) return null;
    const own = { variant: null, activations: null };
    const { variant, activations, ...request } = { ...own, ...this.#request, ...changes };
    return {
      ...request,
      ...(variant !== null && { variant }),
      ...(activations !== null && { activations }),
    };
  }

  /**
   * Open these activations with the weights already here, as many as memory holds, then run the text again; null for
   * those that the model was exported with.
   */
  async setActivations(names: readonly string[] | null): Promise<void> {
    if (this.#client === null || this.model === null) return;
    this.chosen.ask(names);
    this.#request = this.#changed({ activations: names });
    await this.#reopenActivations();
  }

  /** Open all requested activations, although they probably need too much memory. */
  async openAllTheSame(): Promise<void> {
    this.chosen.force();
    await this.#reopenActivations();
  }

  async #reopenActivations(): Promise<void> {
    const era = this.#era;
    const began = performance.now();
    const changed = await this.#alone(async () => {
      if (era !== this.#era) return false;
      try {
        if (!(await this.#openChosen(this.#reading(this.interventions), true))) return false;
        this.tapMs = performance.now() - began;
        return true;
      } catch (thrown) {
        if (era === this.#era) this.#report(thrown);
        return false;
      }
    });
    if (changed) await this.#rerun();
  }

  /** Make a session for the activations to open now; false where the open ones stay. */
  async #openChosen(reading: Reading, isAsked: boolean): Promise<boolean> {
    const client = this.#client;
    const era = this.#era;
    if (client === null || this.model === null) return false;
    const names = this.chosen.next(this.model, reading, isAsked);
    if (names === null) return false;
    const model = await client.setActivations(names);
    if (era !== this.#era) return false;
    this.model = model;
    this.chosen.opened(names);
    this.#forget();
    return true;
  }

  #reading(interventions: Interventions): Reading {
    return { tokens: this.#ids.length, texts: isNeutral(interventions) ? 1 : 2 };
  }

  // ---- the text ------------------------------------------------------------------------------

  /** Take the first text, or a link's, which can be undone where the reader had another. Starts no run. */
  beginWith(entry: Partial<PromptEntry>, own: boolean): void {
    this.idsGivenUp = false;
    this.#takeText({ ...EMPTY_PROMPT, ...entry });
    this.ownPrompt = own;
  }

  /** Run the current text through the open model. */
  async readAgain(): Promise<void> {
    this.stop();
    this.#edits++;
    await this.#readNow();
  }

  /** Take the typed text; the model runs it after a short pause. */
  setPrompt(text: string): void {
    this.#change({ text, typed: null }, 'typing');
    if (this.#typing !== null) clearTimeout(this.#typing);
    this.#typing = setTimeout(() => {
      this.#typing = null;
      void this.#readPrompt();
    }, TYPING_PAUSE_MS);
  }

  /** Take a text at once, without the pause for typing. */
  async replacePrompt(text: string): Promise<void> {
    this.#change({ text, ids: null, typed: null }, null);
    await this.#readNow();
  }

  /** Remove the tokens that the tokenizer puts before every text, or put them back. */
  async setWithoutFirst(withoutFirst: boolean): Promise<void> {
    this.#change({ withoutFirst }, null);
    await this.#readNow();
  }

  /** Replace stored ids by the tokenizer's ids of the text. */
  async retokenize(): Promise<void> {
    this.#change({ ids: null, typed: null }, null);
    await this.#readNow();
  }

  async undo(): Promise<void> {
    this.#edited();
    if (this.text.undo()) await this.#readNow();
  }

  async redo(): Promise<void> {
    this.#edited();
    if (this.text.redo()) await this.#readNow();
  }

  /** Drop stored ids, which stand for other tokens in another model. */
  dropKeptIds(): void {
    this.idsGivenUp = this.text.now.ids !== null;
    this.text.dropIds();
  }

  async append(id: number): Promise<void> {
    if (this.model === null || this.#contextFull() || this.#body === null) return;
    await this.#setBody([...this.#body, id], this.generating ? 'generating' : null);
  }

  /** Remove the text's last token, whether or not the model can read that far. */
  async removeLast(): Promise<void> {
    this.stop();
    const text = this.#textModel();
    if (text === null) return;
    if (this.#body === null) await this.replacePrompt(await withoutLastToken(this.prompt, text));
    else if (this.#body.length > 0) await this.#setBody(this.#body.slice(0, -1), null);
  }

  #change(changes: Partial<PromptEntry>, kind: string | null): void {
    this.#edited();
    this.text.change(changes, kind, performance.now());
  }

  #edited(): void {
    this.stop();
    this.idsGivenUp = false;
    this.ownPrompt = true;
    this.#edits++;
  }

  async #readNow(): Promise<void> {
    if (this.#typing !== null) clearTimeout(this.#typing);
    this.#typing = null;
    await this.#readPrompt();
  }

  #textModel(): TextModel | null {
    const client = this.#client;
    const model = this.model;
    if (client === null || model === null) return null;
    return {
      hasTokenizer: model.hasTokenizer,
      vocab: model.manifest.model.shape.vocab,
      contextLength: model.manifest.model.shape.context_length,
      encode: async (text) => {
        const pieces = await client.encode(text);
        for (const piece of pieces) this.#pieces.set(piece.id, piece);
        return pieces.map((piece) => piece.id);
      },
      bytes: async (ids) => {
        await this.#learnPieces(client, ids);
        return ids.map((id) => this.#pieces.get(id)?.bytes ?? new Uint8Array(0));
      },
    };
  }

  /** Take the ids that a step or a choice gave, and store them where the tokenizer would make others of their text. */
  async #setBody(body: readonly number[], kind: string | null): Promise<void> {
    const model = this.#textModel();
    const edits = this.#edits;
    const client = this.#client;
    if (model === null) return;
    let next: { text: string; own: boolean };
    try {
      next = await textAfter(this.prompt, this.#body ?? [], body, model);
    } catch (thrown) {
      this.#report(thrown);
      return;
    }
    if (edits !== this.#edits || client !== this.#client) return;
    const typed = Math.min(this.text.now.typed ?? this.#body?.length ?? 0, body.length);
    const generating = this.generating;
    this.#change({ text: next.text, ids: next.own ? null : body, typed }, kind);
    this.generating = generating;
    this.#takeBody(body, true);
    await this.#rerun();
  }

  async #readPrompt(): Promise<void> {
    const model = this.#textModel();
    const client = this.#client;
    if (model === null) return;
    const edits = this.#edits;
    try {
      const reading = await readPrompt(this.text.now, model);
      if (edits !== this.#edits || client !== this.#client) return;
      if (reading.kind === 'not-ids') {
        this.notice = reading;
        return;
      }
      const { body, own, complete } = reading;
      const kept = this.text.now.ids;
      if (own && kept !== null && this.prompt !== '' && !sameIds(kept, body))
        this.idsGivenUp = true;
      this.text.settle({ ids: own ? null : body, typed: this.text.now.typed });
      this.generationEnd = null;
      this.#takeBody(body, complete);
      await this.#rerun();
    } catch (thrown) {
      if (client === this.#client) this.#report(thrown);
    }
  }

  #takeBody(body: readonly number[], complete: boolean): void {
    const limit = this.model?.manifest.model.shape.context_length ?? 0;
    const ids = [...(this.text.now.withoutFirst ? [] : this.firstTokens), ...body];
    this.notice =
      ids.length > limit ? { kind: 'too-long', tokens: ids.length, limit, complete } : null;
    this.#ids = ids.slice(0, limit);
    this.#body = complete ? body : null;
  }

  /** Number of the fed tokens that were typed or go before the text, rather than generated or picked. */
  get #typed(): number {
    const { typed } = this.text.now;
    const first = this.text.now.withoutFirst ? 0 : this.firstTokens.length;
    return typed === null ? this.#ids.length : first + typed;
  }

  // ---- interventions -------------------------------------------------------------------------

  async setInterventions(interventions: Interventions): Promise<void> {
    this.interventions = interventions;
    await this.#rerun();
  }

  // ---- generation ----------------------------------------------------------------------------

  /** Draw one token by the settings and feed it through the cache. */
  async step(settings: SamplingSettings): Promise<void> {
    const answer = this.answer;
    if (answer === null || this.#contextFull()) return;
    const distribution = samplingDistribution(answer.activations.lastLogits, settings);
    await this.append(drawToken(distribution, this.#random()));
  }

  /** Draw tokens until stopped, the context is full, or the model ends the text. */
  async play(settings: () => SamplingSettings): Promise<void> {
    if (this.generating || this.answer === null) return;
    this.generating = true;
    this.generationEnd = null;
    while (this.#isGenerating()) {
      const began = performance.now();
      const before = this.#ids.length;
      await this.step(settings());
      if (this.notice !== null || this.#ids.length === before) break;
      if (this.#contextFull()) {
        this.generationEnd = { reason: 'context-full' };
        break;
      }
      const last = this.#ids.at(-1);
      if (last !== undefined && this.model !== null && this.#ends(this.model, last)) {
        const token = labelOf(last, this.#pieces.get(last)?.bytes ?? null);
        this.generationEnd = { reason: 'end-token', token };
        break;
      }
      await pause(Math.max(0, TOKEN_PACE_MS - (performance.now() - began)));
    }
    this.generating = false;
    // The run without interventions, for comparison, was skipped while generating.
    if (!isNeutral(this.interventions) && this.answer.untouchedLogits === null) await this.#rerun();
  }

  stop(): void {
    this.generating = false;
  }

  // Through a method, because another task may have stopped it meanwhile.
  #isGenerating(): boolean {
    return this.generating;
  }

  #ends(model: OpenedModel, id: number): boolean {
    return endTokensOf(model.manifest).includes(id);
  }

  #contextFull(): boolean {
    return this.#ids.length >= (this.model?.manifest.model.shape.context_length ?? 0);
  }

  // ---- running -------------------------------------------------------------------------------

  /** Request an answer to the current text and interventions; one run at a time, so that rows join in order. */
  async #rerun(): Promise<void> {
    this.#wanted = true;
    this.#pumping ??= this.#pump();
    await this.#pumping;
  }

  async #pump(): Promise<void> {
    try {
      while (this.#wanted) {
        this.#wanted = false;
        await this.#alone(() => this.#answerOnce());
      }
    } finally {
      this.#pumping = null;
    }
  }

  /** Do this work after all earlier runs and changes of taps, never at the same time. */
  async #alone<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#underWay++;
    this.busy = true;
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => undefined);
    try {
      return await turn;
    } finally {
      this.#underWay--;
      this.busy = this.#underWay > 0;
    }
  }

  async #answerOnce(): Promise<void> {
    const client = this.#client;
    const ids = this.#ids;
    const { interventions } = this;
    if (client === null) return;
    if (ids.length === 0) {
      this.answer = null;
      return;
    }
    const reading = this.#reading(interventions);
    try {
      await this.#openChosen(reading, false);
      const { model } = this;
      if (client !== this.#client || model === null) return;
      await this.chosen.follow(model, reading, () =>
        this.#answer(client, model, ids, interventions),
      );
    } catch (thrown) {
      if (client !== this.#client) return;
      if (this.#openWithFewer(thrown, reading)) return;
      const error = toModelErrorData(thrown, 'run');
      // A variant that never answered counts as not open, like one whose session could not be made.
      if (error.kind === 'run' && error.failure !== undefined && this.answer === null) {
        this.model = null;
        this.#fail(error);
      } else this.#report(thrown);
    }
  }

  /**
   * Open the model again with fewer activations after a run that had too little memory. In a new worker, because the
   * runtime does not free the memory that the failed run took. False where nothing can be left out.
   */
  #openWithFewer(thrown: unknown, reading: Reading): boolean {
    const error = toModelErrorData(thrown, 'run');
    if (error.kind !== 'run' || error.failure?.cause !== 'out-of-memory') return false;
    if (this.model === null || !this.chosen.record(this.model, reading)) return false;
    // Not awaited: the new opening asks for a run, and this one has to end first.
    void this.retry();
    return true;
  }

  async #answer(
    client: ModelClient,
    model: OpenedModel,
    ids: readonly number[],
    interventions: Interventions,
  ): Promise<void> {
    const activations = await this.#run(client, ids, interventions);
    let untouchedLogits: Float32Array | null = null;
    if (!isNeutral(interventions) && !this.generating) {
      if (!sameIds(this.#untouched?.ids, ids)) {
        const untouched = await this.#run(client, ids, noInterventions);
        this.#untouched = { ids, logits: untouched.lastLogits };
      }
      untouchedLogits = this.#untouched?.logits ?? null;
    } else if (isNeutral(interventions)) {
      this.#untouched = { ids, logits: activations.lastLogits };
    }
    // First tokens and stored ids come from no text.
    await this.#learnPieces(client, [...ids, ...named(activations, untouchedLogits)]);
    if (client !== this.#client || model !== this.model) return;
    this.answer = {
      tokens: tokensOf(ids, this.#pieces, this.#typed, this.answer?.tokens ?? []),
      activations,
      interventions,
      untouchedLogits,
      pieces: this.#pieces,
    };
    if (this.notice?.kind === 'error') this.notice = null;
    if (this.times.firstAnswerMs === null)
      this.times = { ...this.times, firstAnswerMs: performance.now() };
  }

  async #run(
    client: ModelClient,
    ids: readonly number[],
    interventions: Interventions,
  ): Promise<ActivationSet> {
    const key = interventionKey(interventions);
    const request = { ids, interventions };
    let result = await client.run({ ...request, reuseCache: true });
    let set = mergeRun(this.#cached.get(key), result);
    if (set === null) {
      result = await client.run({ ...request, reuseCache: false });
      set = mergeRun(null, result);
    }
    if (set === null) throw new Error('a whole run did not start at the first token');
    if (client === this.#client) {
      this.#cached.set(key, set, set.bytes);
      this.#note(result);
    }
    return set;
  }

  #note(result: RunResult): void {
    const fed = result.ids.length - result.start;
    if (fed > 1) this.times = { ...this.times, prompt: { tokens: fed, ms: result.timings.runMs } };
    else if (result.start > 0)
      this.times = { ...this.times, step: { total: result.ids.length, ms: result.timings.runMs } };
  }

  async #learnPieces(client: ModelClient, ids: Iterable<number>): Promise<void> {
    if (this.model?.hasTokenizer !== true) return;
    const unknown = [...new Set(ids)].filter((id) => !this.#pieces.has(id));
    if (unknown.length === 0) return;
    for (const piece of await client.pieces(unknown)) this.#pieces.set(piece.id, piece);
  }

  /** Return all known tokens, these among them; null where the model doesn't answer: then there is a notice. */
  async nameTokens(ids: Iterable<number>): Promise<ReadonlyMap<number, TokenPiece> | null> {
    const client = this.#client;
    if (client === null) return null;
    try {
      await this.#learnPieces(client, ids);
    } catch (thrown) {
      if (client === this.#client) this.#report(thrown);
      return null;
    }
    return client === this.#client ? this.#pieces : null;
  }

  #forget(): void {
    this.#cached.clear();
    this.#untouched = null;
  }

  #fail(error: ModelErrorData): void {
    this.#remember(error);
    this.stage = { kind: 'failed', error };
  }

  /** Remember a variant and provider that broke down, so that they are not offered again. */
  #remember(error: ModelErrorData): void {
    const failure = failureOf(error);
    if (failure === null) return;
    const { variant, provider } = failure;
    this.#tried = [...this.#tried, { variant, provider }];
  }

  #report(thrown: unknown): void {
    const error = toModelErrorData(thrown, 'run');
    if (error.kind === 'aborted') return;
    this.stop();
    this.#remember(error);
    this.notice = { kind: 'error', error };
  }
}

/** Return the tokens that a view will name: the best candidates and all tokens of the logit lens. */
function named(activations: ActivationSet, untouched: Float32Array | null): Set<number> {
  const ids = new Set(largest(activations.lastLogits, NAMED_CANDIDATES));
  if (untouched !== null) for (const id of largest(untouched, NAMED_CANDIDATES)) ids.add(id);
  for (const name of activations.names) {
    if (!name.endsWith('_lens_ids')) continue;
    const series = activations.get(name);
    if (series === null) continue;
    for (let position = 0; position < series.length; position++)
      for (const id of series.row(position)) ids.add(id);
  }
  return ids;
}

/** Return the fields in a fixed order, so that equal requests give equal strings. */
function fieldsOf(request: OpenRequest | null): string {
  return JSON.stringify([
    request?.url,
    request?.provider,
    request?.variant ?? null,
    request?.activations ?? null,
  ]);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
