// Opens a model, surveys its variants, and replaces it by another one where that one is within reach.
import { logitLens } from '../inference/lens_names';
import { toModelErrorData } from '../inference/model_error';
import type { ModelClient } from '../inference/client_interface';
import type {
  Attempt,
  Choice,
  ModelErrorData,
  OpenedModel,
  OpenRequest,
  Progress,
  Provider,
  Survey,
} from '../inference/model_types';
import { failureOf } from '../inference/variant_offers';

export type Stage =
  | { kind: 'idle' }
  | { kind: 'opening'; progress: Progress | null }
  | { kind: 'ready' }
  | { kind: 'failed'; error: ModelErrorData };

/** Changes to a request. Null leaves the variant to the device, or the activations to the model. */
export type Retry = Partial<Omit<OpenRequest, 'variant' | 'activations'>> & {
  variant?: string | null;
  activations?: readonly string[] | null;
};

/** Callbacks by which the rest of the session follows an opening. */
export interface OpeningSteps {
  /** The model that is open or being opened is released. */
  readonly onEnd: () => void;
  /** A new worker is there, and the request is about to be opened in it. */
  readonly onStart: (client: ModelClient, request: OpenRequest, isCurrent: () => boolean) => void;
  readonly onOpened: (model: OpenedModel) => Promise<void>;
}

export class Opening {
  stage = $state.raw<Stage>({ kind: 'idle' });
  model = $state.raw<OpenedModel | null>(null);
  /** The variants that the device can open, and the one being opened; known long before the weights have arrived. */
  survey = $state.raw<Survey | null>(null);
  /** The choice that the device makes by itself, without the reader's. */
  suited = $state.raw<Choice | null>(null);
  /** Why the last request did not replace the open model; null where no request was declined. */
  declined = $state.raw<ModelErrorData | null>(null);
  /** True while another model or variant is being checked before it replaces the open one. */
  checking = $state(false);
  readonly #makeClient: () => ModelClient;
  readonly #steps: OpeningSteps;
  #client: ModelClient | null = null;
  #controller: AbortController | null = null;
  #request = $state.raw<OpenRequest | null>(null);
  /** Counts openings, so that an answer of an older one is dropped. */
  #openingId = 0;
  /** Counts requests to replace the open model, so that only the newest one is followed. */
  #replacementId = 0;
  /** Address of the surveyed model. */
  #surveyed: string | null = null;
  /** Variants and providers of the current model that broke down. */
  #tried: readonly Attempt[] = [];

  constructor(makeClient: () => ModelClient, steps: OpeningSteps) {
    this.#makeClient = makeClient;
    this.#steps = steps;
  }

  /** The worker of the model that is open or being opened. */
  get client(): ModelClient | null {
    return this.#client;
  }

  get provider(): Provider | 'auto' {
    return this.#request?.provider ?? 'auto';
  }

  /** The variant asked for; null where the device chooses. */
  get variant(): string | null {
    return this.#request?.variant ?? null;
  }

  /** The lens asked for; null for the logit lens. */
  get lens(): string | null {
    const { lens = logitLens } = this.#request ?? {};
    return lens === logitLens ? null : lens;
  }

  /** True where a model was requested, so that it can be requested again. */
  get hasRequest(): boolean {
    return this.#request !== null;
  }

  /** True where a model is open or being opened, which another opening would replace. */
  get holdsModel(): boolean {
    return this.#request !== null && (this.stage.kind === 'ready' || this.stage.kind === 'opening');
  }

  /** The worker to ask about cached models; null where none is sure to answer. */
  get keeper(): Pick<ModelClient, 'cachedModels' | 'forget' | 'close'> | null {
    return this.stage.kind === 'opening' || this.stage.kind === 'ready' ? this.#client : null;
  }

  /** True while no model was requested yet because the page waits for something of its own. */
  get waitsForPage(): boolean {
    if (this.stage.kind !== 'opening') return false;
    const phase = this.stage.progress?.phase;
    return phase === 'list' || phase === 'page';
  }

  /** Number of the newest request to replace the open model. */
  get replacementId(): number {
    return this.#replacementId;
  }

  /** Return a function that tells whether no other opening has begun since. */
  currentCheck(): () => boolean {
    const id = this.#openingId;
    return () => id === this.#openingId;
  }

  /** Return whether exactly this request is open, so that a changed address needs no new opening. */
  isOpenAs(request: OpenRequest): boolean {
    return this.stage.kind === 'ready' && fieldsOf(request) === fieldsOf(this.#request);
  }

  /**
   * Show that the page waits for something of its own before it opens a model. False where the reader has stopped
   * that or opened something else meanwhile.
   */
  async waitFor(phase: 'list' | 'page', arriving: Promise<void>): Promise<boolean> {
    const isCurrent = this.#begin();
    this.#end();
    const controller = new AbortController();
    this.#controller = controller;
    const progress = { phase, receivedBytes: 0, totalBytes: 0, keptBytes: 0, waiting: null };
    this.stage = { kind: 'opening', progress };
    const stopped = new Promise<void>((resolve) => {
      controller.signal.addEventListener('abort', () => {
        resolve();
      });
    });
    await Promise.race([arriving, stopped]);
    if (!isCurrent()) return false;
    if (controller.signal.aborted) this.#fail({ kind: 'aborted' });
    return !controller.signal.aborted;
  }

  async open(request: OpenRequest): Promise<void> {
    const isCurrent = this.#begin();
    if (request.url !== this.#request?.url) this.#tried = [];
    this.#release();
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
    const controller = new AbortController();
    this.#client = client;
    this.#controller = controller;
    this.#request = request;
    this.model = null;
    this.declined = null;
    this.stage = { kind: 'opening', progress: null };
    this.#steps.onStart(client, request, isCurrent);
    void this.#survey(client, request, isCurrent);
    try {
      const model = await client.open(
        this.#tried.length === 0 ? request : { ...request, tried: this.#tried },
        (progress) => {
          if (isCurrent()) this.stage = { kind: 'opening', progress };
        },
        controller.signal,
      );
      if (!isCurrent()) return;
      this.model = model;
      this.stage = { kind: 'ready' };
      await this.#steps.onOpened(model);
    } catch (thrown) {
      if (isCurrent()) this.#fail(toModelErrorData(thrown, 'session'));
    }
  }

  /** Survey the variants while the model opens: neither waits for the other. */
  async #survey(
    client: ModelClient,
    request: OpenRequest,
    isCurrent: () => boolean,
  ): Promise<void> {
    // The same bundle on the same device has the same variants: what is shown stays meanwhile.
    if (this.#surveyed !== request.url) {
      this.survey = null;
      this.suited = null;
    }
    try {
      const survey = await client.survey(request);
      if (!isCurrent()) return;
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
      if (isCurrent()) this.suited = own.offer.choice;
    } catch {
      // The opening reports an invalid manifest.
    }
  }

  /** Open nothing, and show the reason. */
  refuse(error: ModelErrorData): void {
    this.#begin();
    this.#end();
    this.#fail(error);
  }

  abort(): void {
    this.#controller?.abort();
  }

  /**
   * Check, while a model is open, whether another one may replace it. False where that one can't be opened, for the
   * reason in `declined`, or a newer request was made; the open model then stays. A request that is a promise may
   * reject as refused, or resolve to null where the requested model is open already.
   */
  async mayOpen(request: OpenRequest | Promise<OpenRequest | null>): Promise<boolean> {
    const client = this.#client;
    const id = ++this.#replacementId;
    const isNewest = (): boolean => id === this.#replacementId && client === this.#client;
    this.declined = null;
    this.checking = true;
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
      if (id === this.#replacementId) this.checking = false;
    }
  }

  /** Drop the request to replace the open model. */
  stay(): void {
    this.#replacementId++;
    this.checking = false;
  }

  /** Open the same model with these changes, where that is possible. */
  async change(changes: Retry): Promise<void> {
    const request = this.#changed(changes);
    if (request !== null && (await this.mayOpen(request))) await this.open(request);
  }

  /** Open the same again with these changes. */
  async retry(changes: Retry = {}): Promise<void> {
    const request = this.#changed(changes);
    if (request !== null) await this.open(request);
  }

  /** Note the activations that were asked for, for the next opening of the same. */
  noteActivations(activations: readonly string[] | null): void {
    this.#request = this.#changed({ activations });
  }

  /** Note the lens that was chosen, for the next opening of the same; null for the logit lens. */
  noteLens(lens: string | null): void {
    this.#request = this.#changed({ lens: lens ?? logitLens });
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

  /** Count the opened model as not open after all. */
  fail(error: ModelErrorData): void {
    this.model = null;
    this.#fail(error);
  }

  /** Remember a variant and provider that broke down, so that they are not offered again. */
  noteFailure(error: ModelErrorData): void {
    const failure = failureOf(error);
    if (failure === null) return;
    const { variant, provider } = failure;
    this.#tried = [...this.#tried, { variant, provider }];
  }

  #fail(error: ModelErrorData): void {
    this.noteFailure(error);
    this.stage = { kind: 'failed', error };
  }

  #begin(): () => boolean {
    this.#openingId++;
    return this.currentCheck();
  }

  /** End the worker of the model that is open or being opened. */
  #release(): void {
    this.#controller?.abort();
    this.#client?.close();
    this.#client = null;
    this.#steps.onEnd();
  }

  /** Release the model, and forget what was asked for and found out. */
  #end(): void {
    this.#release();
    this.#request = null;
    this.#surveyed = null;
    this.survey = null;
    this.suited = null;
    this.model = null;
  }
}

/** Return the fields in a fixed order, so that equal requests give equal strings. */
function fieldsOf(request: OpenRequest | null): string {
  return JSON.stringify([
    request?.url,
    request?.provider,
    request?.variant ?? null,
    request?.activations ?? null,
    request?.lens ?? logitLens,
  ]);
}
