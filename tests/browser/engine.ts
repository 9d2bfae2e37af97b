// A page that holds nothing but the engine, driven from a test as the viewer drives it.
import type { Page } from '@playwright/test';
import type { createModelClient as makeClient } from '../../apps/web/src/inference/model_client';
import type { Sweep, SweepRequest } from '../../apps/web/src/analysis/patching';
import type { Attribution } from '../../apps/web/src/analysis/attribution';
import type { ModelClient } from '../../apps/web/src/inference/client_interface';
import type {
  BatchRequest,
  BatchResult,
  ModelErrorData,
  OpenedModel,
  OpenRequest,
  Progress,
  Provider,
  RunRequest,
  Survey,
  TokenPiece,
} from '../../apps/web/src/inference/model_types';
import { startBundleServer, type BundleServer } from './bundle_server';
import { test as base } from './shared_context';

export interface EngineOptions {
  provider: Provider;
  /** Bound on the difference from PyTorch. */
  tolerance: number;
  isolated: boolean;
}

/** A run's answer, its arrays as Node sees them. */
export interface Answer {
  readonly start: number;
  readonly lastLogits: Float32Array;
  readonly tensors: ReadonlyMap<
    string,
    { dims: readonly number[]; data: Float32Array | Int32Array }
  >;
  readonly runMs: number;
  readonly attribution: Attribution | null;
}

export type Outcome<Value> = { ok: Value } | { error: ModelErrorData };

declare global {
  // Only `var` declares a property of globalThis.
  var createModelClient: typeof makeClient;
  var client: ModelClient;
}

export class Engine {
  readonly #page: Page;

  constructor(page: Page) {
    this.#page = page;
  }

  async start(): Promise<void> {
    await this.#page.goto('engine_test.html');
    await this.#page.waitForFunction(() => 'createModelClient' in globalThis);
    await this.#page.evaluate(() => {
      globalThis.client = globalThis.createModelClient();
    });
  }

  /** Opens a model; `abortAt` aborts as soon as that much of a download has come. */
  open(
    request: OpenRequest,
    abortAt?: number,
  ): Promise<Outcome<OpenedModel> & { progress: Progress[] }> {
    return this.#page.evaluate(
      async ([request, abortAt]) => {
        const progress: Progress[] = [];
        const abort = new AbortController();
        try {
          const ok = await client.open(
            request,
            (state) => {
              progress.push(state);
              if (
                abortAt !== null &&
                state.receivedBytes >= abortAt &&
                state.phase === 'download'
              ) {
                abort.abort();
              }
            },
            abort.signal,
          );
          return { ok, progress };
        } catch (error) {
          return { error: (error as { data: ModelErrorData }).data, progress };
        }
      },
      [request, abortAt ?? null] as const,
    );
  }

  survey(request: OpenRequest): Promise<Outcome<Survey>> {
    return this.#page.evaluate(
      (request) =>
        client.survey(request).then(
          (ok) => ({ ok }),
          (error: unknown) => ({ error: (error as { data: ModelErrorData }).data }),
        ),
      request,
    );
  }

  setActivations(names: readonly string[]): Promise<Outcome<OpenedModel>> {
    return this.#page.evaluate(
      (names) =>
        client.setActivations(names).then(
          (ok) => ({ ok }),
          (error: unknown) => ({ error: (error as { data: ModelErrorData }).data }),
        ),
      names,
    );
  }

  setLens(name: string): Promise<Outcome<OpenedModel>> {
    return this.#page.evaluate(
      (name) =>
        client.setLens(name).then(
          (ok) => ({ ok }),
          (error: unknown) => ({ error: (error as { data: ModelErrorData }).data }),
        ),
      name,
    );
  }

  async encode(text: string): Promise<TokenPiece[]> {
    const pieces = await this.#page.evaluate(
      async (text) =>
        (await client.encode(text)).map(({ id, bytes }) => ({ id, bytes: [...bytes] })),
      text,
    );
    return pieces.map(({ id, bytes }) => ({ id, bytes: Uint8Array.from(bytes) }));
  }

  async runBatch(request: BatchRequest): Promise<BatchResult> {
    const outcome = await this.tryBatch(request);
    if ('error' in outcome) throw new Error(JSON.stringify(outcome.error));
    return outcome.ok;
  }

  tryBatch(request: BatchRequest): Promise<Outcome<BatchResult>> {
    return this.#page.evaluate(
      (request) =>
        client.runBatch(request).then(
          (ok) => ({ ok }),
          (error: unknown) => ({ error: (error as { data: ModelErrorData }).data }),
        ),
      request,
    );
  }

  async sweep(request: SweepRequest): Promise<Sweep & { told: [number, number][] }> {
    const outcome = await this.trySweep(request);
    if ('error' in outcome) throw new Error(JSON.stringify(outcome.error));
    return { ...outcome.ok, told: outcome.told };
  }

  /** Run a sweep; abort it once `endAt` of its runs are done. */
  trySweep(
    request: SweepRequest,
    endAt?: number,
  ): Promise<Outcome<Sweep> & { told: [number, number][] }> {
    return this.#page.evaluate(
      async ([request, endAt]) => {
        const told: [number, number][] = [];
        const ending = new AbortController();
        const onProgress = (done: number, of: number): void => {
          told.push([done, of]);
          if (endAt !== null && done >= endAt) ending.abort();
        };
        try {
          return { ok: await client.sweep(request, onProgress, ending.signal), told };
        } catch (error) {
          return { error: (error as { data: ModelErrorData }).data, told };
        }
      },
      [request, endAt ?? null] as const,
    );
  }

  async run(request: RunRequest): Promise<Answer> {
    const outcome = await this.tryRun(request);
    if ('error' in outcome) throw new Error(JSON.stringify(outcome.error));
    return outcome.ok;
  }

  async tryRun(request: RunRequest): Promise<Outcome<Answer>> {
    const outcome = await this.#page.evaluate(async (request) => {
      // Base64: arrays of numbers as JSON take a hundred times as long to pass.
      const encode = async (data: Float32Array | Int32Array): Promise<string> => {
        const blob = new Blob([data as Float32Array<ArrayBuffer>]);
        const reader = new FileReader();
        await new Promise((resolve) => {
          reader.onload = resolve;
          reader.readAsDataURL(blob);
        });
        return (reader.result as string).split(',')[1] ?? '';
      };
      try {
        const { start, lastLogits, tensors, timings, attribution } = await client.run(request);
        return {
          ok: {
            start,
            runMs: timings.runMs,
            lastLogits: await encode(lastLogits),
            attribution: attribution && {
              bias: attribution.bias,
              embedding: await encode(attribution.embedding),
              logit: await encode(attribution.logit),
              heads: await Promise.all(attribution.heads.map(encode)),
              attentionRest: await Promise.all(attribution.attentionRest.map(encode)),
              mlps: await Promise.all(attribution.mlps.map(encode)),
              neurons: attribution.neurons && (await encode(attribution.neurons)),
            },
            tensors: await Promise.all(
              tensors.map(async ({ name, dims, data }) => ({
                name,
                dims,
                integers: data instanceof Int32Array,
                data: await encode(data),
              })),
            ),
          },
        };
      } catch (error) {
        return { error: (error as { data: ModelErrorData }).data };
      }
    }, request);
    if (outcome.ok === undefined) return { error: outcome.error };
    const bytes = (text: string): ArrayBuffer =>
      Uint8Array.from(Buffer.from(text, 'base64')).buffer;
    const floats = (text: string): Float32Array => new Float32Array(bytes(text));
    const { attribution } = outcome.ok;
    return {
      ok: {
        attribution: attribution
          ? {
              bias: attribution.bias,
              embedding: floats(attribution.embedding),
              logit: floats(attribution.logit),
              heads: attribution.heads.map(floats),
              attentionRest: attribution.attentionRest.map(floats),
              mlps: attribution.mlps.map(floats),
              neurons: attribution.neurons === null ? null : floats(attribution.neurons),
            }
          : null,
        start: outcome.ok.start,
        runMs: outcome.ok.runMs,
        lastLogits: new Float32Array(bytes(outcome.ok.lastLogits)),
        tensors: new Map(
          outcome.ok.tensors.map(({ name, dims, integers, data }) => [
            name,
            { dims, data: integers ? new Int32Array(bytes(data)) : new Float32Array(bytes(data)) },
          ]),
        ),
      },
    };
  }
}

export const test = base.extend<EngineOptions & { engine: Engine }, { bundles: BundleServer }>({
  provider: ['wasm', { option: true }],
  tolerance: [1e-4, { option: true }],
  isolated: [true, { option: true }],
  bundles: [
    // eslint-disable-next-line no-empty-pattern -- Playwright reads the pattern to see what is used
    async ({}, use) => {
      const server = await startBundleServer();
      await use(server);
      await server.close();
    },
    { scope: 'worker' },
  ],
  engine: async ({ page }, use) => {
    const engine = new Engine(page);
    await engine.start();
    await use(engine);
  },
});

export { expect } from '@playwright/test';

/** The model of an outcome that must be good. */
export function opened(outcome: Outcome<OpenedModel>): OpenedModel {
  if ('error' in outcome) throw new Error(JSON.stringify(outcome.error));
  return outcome.ok;
}
