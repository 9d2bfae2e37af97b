// The patching sweep between the page's text and a second one: reads both, runs it in the worker, and keeps the last
// map.
import { predictedPosition, scoreCount } from '../contract/whole_text';
import type { Metric } from '../analysis/metrics';
import { planSweep, SweepError, type Sweep } from '../analysis/patching';
import { largest } from '../analysis/probabilities';
import { placesOf, type Swept } from '../analysis/swept_places';
import { ModelError, toModelErrorData } from '../inference/model_error';
import type { ModelErrorData } from '../inference/model_types';
import { namedToken } from './named_token';
import type { Opening } from './opening.svelte';
import { idsOfText, type TextReader } from './text_numbers';
import type { FedText } from './answers.svelte';

/** A sweep as the reader asks for it. */
export interface AskedSweep {
  /** The second text, whose values are put in. */
  readonly text: string;
  readonly over: Swept;
  readonly metric: Metric['metric'];
  /** Tokens of the logit difference, as ids or words; empty for the likeliest of each text. */
  readonly answer: string;
  readonly other: string;
  readonly mostBytes: number;
}

export type SweepForm = { -readonly [Name in keyof AskedSweep]: AskedSweep[Name] };

const emptyForm: AskedSweep = {
  ...{ text: '', over: 'stream', metric: 'logit-difference', answer: '', other: '' },
  mostBytes: 256 * 2 ** 20,
};

export interface DoneSweep {
  readonly asked: AskedSweep;
  /** Ids of the page's text, which the map's positions are of. */
  readonly ids: readonly number[];
  readonly sweep: Sweep;
  /** Tokens whose logits were subtracted; null for the divergence. */
  readonly tokens: { readonly answer: number; readonly other: number } | null;
}

export type SweepProblem =
  | { readonly kind: 'no-text' | 'same-tokens' | 'cancelled' }
  | { readonly kind: 'lengths'; readonly here: number; readonly there: number }
  | { readonly kind: 'not-token'; readonly got: string }
  | { readonly kind: 'not-label'; readonly got: string }
  | { readonly kind: 'unfit'; readonly detail: string }
  | { readonly kind: 'model'; readonly error: ModelErrorData };

export type SweepStage =
  | { readonly kind: 'idle' | 'reading' }
  | { readonly kind: 'running'; readonly done: number; readonly of: number }
  | { readonly kind: 'failed'; readonly problem: SweepProblem };

/** Ends a sweep with what the reader should know. */
class Refused extends Error {
  readonly problem: SweepProblem;

  constructor(problem: SweepProblem) {
    super(problem.kind);
    this.problem = problem;
  }
}

export class PatchSweeps {
  stage = $state.raw<SweepStage>({ kind: 'idle' });
  /** The fields that the reader, or a link, has filled in. */
  form = $state<SweepForm>({ ...emptyForm });
  /** The last sweep that was finished; null before. */
  done = $state.raw<DoneSweep | null>(null);
  readonly #opening: Opening;
  readonly #text: () => FedText;
  #running: AbortController | null = null;

  constructor(opening: Opening, text: () => FedText) {
    this.#opening = opening;
    this.#text = text;
  }

  /** Fill in the form as a link has it; null leaves it empty. */
  link(linked: Omit<AskedSweep, 'mostBytes'> | null): void {
    this.form = { ...emptyForm, ...linked };
  }

  /** Cancel the running sweep, of which nothing is kept. */
  cancel(): void {
    this.#running?.abort();
  }

  /** Forget the map of another model. */
  clear(): void {
    this.cancel();
    this.done = null;
    this.stage = { kind: 'idle' };
  }

  /** Run a sweep in the place of the one that runs. Never rejects: a problem is in `stage`. */
  async run(asked: AskedSweep): Promise<void> {
    this.cancel();
    const { client, model } = this.#opening;
    if (client === null || model === null) return;
    const running = new AbortController();
    this.#running = running;
    const isCurrent = (): boolean => this.#running === running;
    this.stage = { kind: 'reading' };
    try {
      const { ids, withoutFirst } = this.#text();
      const found = await this.#sweep({ client, model, withoutFirst }, ids, asked, running.signal);
      if (!isCurrent() || client !== this.#opening.client) return;
      this.done = found;
      this.stage = { kind: 'idle' };
    } catch (thrown) {
      if (!isCurrent() || client !== this.#opening.client) return;
      this.stage = { kind: 'failed', problem: problemOf(thrown) };
    } finally {
      if (isCurrent()) this.#running = null;
    }
  }

  async #sweep(
    reader: TextReader,
    ids: readonly number[],
    asked: AskedSweep,
    signal: AbortSignal,
  ): Promise<DoneSweep> {
    const { client, model } = reader;
    if (asked.text.trim() === '') throw new Refused({ kind: 'no-text' });
    const clean = await idsOfText(reader, asked.text);
    if (clean.length !== ids.length)
      throw new Refused({ kind: 'lengths', here: ids.length, there: clean.length });
    const { shape } = model.manifest.model;
    const position = predictedPosition(model.manifest, ids) - ids.length;
    const texts = [clean, ids];
    const both = await client.runBatch({ texts, activations: [], logits: -position });
    const [there, here] = both.texts.map(({ logits }) =>
      (logits.data as Float32Array).slice(0, scoreCount(shape)),
    );
    if (there === undefined || here === undefined)
      throw new ModelError({ kind: 'run', detail: 'a batch without its texts' });
    const tokens =
      asked.metric === 'divergence' ? null : await tokensOf(reader, asked, there, here);
    const request = {
      clean,
      corrupted: ids,
      metric:
        tokens === null
          ? ({ metric: 'divergence', reference: there, position } as const)
          : ({ metric: 'logit-difference', ...tokens, position } as const),
      places: placesOf[asked.over],
      mostBytes: asked.mostBytes,
    };
    // The worker plans it again; here, so that what doesn't fit is told in a line of its own.
    const { cells } = planSweep(request, model.manifest.model.shape);
    if (signal.aborted) throw new ModelError({ kind: 'aborted' });
    this.stage = { kind: 'running', done: 0, of: cells.length };
    const onProgress = (done: number, of: number): void => {
      if (this.#running?.signal === signal) this.stage = { kind: 'running', done, of };
    };
    const sweep = await client.sweep(request, onProgress, signal);
    return { asked, ids, sweep, tokens };
  }
}

function problemOf(thrown: unknown): SweepProblem {
  if (thrown instanceof Refused) return thrown.problem;
  if (thrown instanceof SweepError) return { kind: 'unfit', detail: thrown.message };
  const error = toModelErrorData(thrown, 'run');
  return error.kind === 'aborted' ? { kind: 'cancelled' } : { kind: 'model', error };
}

/** Return the tokens to measure: those that the reader names, else the likeliest of each text. */
async function tokensOf(
  reader: TextReader,
  asked: AskedSweep,
  there: Float32Array,
  here: Float32Array,
): Promise<{ answer: number; other: number }> {
  const [answer, other] = [
    await tokenOf(reader, asked.answer, there),
    await tokenOf(reader, asked.other, here),
  ];
  if (answer === other) throw new Refused({ kind: 'same-tokens' });
  return { answer, other };
}

async function tokenOf(reader: TextReader, given: string, logits: Float32Array): Promise<number> {
  if (given.trim() === '') return largest(logits, 1)[0] ?? 0;
  const labels = reader.model.manifest.model.classifier?.labels;
  if (labels !== undefined) {
    const label = labels.indexOf(given.trim());
    if (label < 0) throw new Refused({ kind: 'not-label', got: given });
    return label;
  }
  const token = await namedToken(reader, given);
  if (token === null) throw new Refused({ kind: 'not-token', got: given });
  return token;
}
