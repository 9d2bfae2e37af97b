// Generates text: draws tokens from the model's prediction, one or many, until something ends it.
import { drawToken, samplingDistribution, type SamplingSettings } from '../analysis/sampling';
import { uniformAt } from '../analysis/seeded_random';
import { isNeutral } from '../inference/interventions';
import type { Answer } from './answer';
import type { Answers } from './answers.svelte';
import type { Notices } from './notices.svelte';
import type { Prompt } from './prompt.svelte';
import { endTokensOf } from './read_prompt';
import { labelOf } from './token';

export type GenerationEnd =
  | { reason: 'context-full' }
  /** `token` is how the token that ended the text is shown. */
  | { reason: 'end-token'; token: string };

/** Slower than the model can be, so that the eye can follow a token appear. */
const TOKEN_PACE_MS = 110;

export interface GenerationParts {
  readonly prompt: Prompt;
  readonly answers: Answers;
  readonly notices: Notices;
  /** Return a number from 0 up to 1, for draws without a seed. */
  readonly random: () => number;
}

export class Generation {
  running = $state(false);
  end = $state.raw<GenerationEnd | null>(null);
  readonly #parts: GenerationParts;
  /** The last step that was asked for, until it is done: the next one draws from what it has led to. */
  #lastStep: Promise<void> | null = null;

  constructor(parts: GenerationParts) {
    this.#parts = parts;
  }

  /** Draw one token by the settings and feed it through the cache, behind the steps that were asked for before. */
  step(settings: SamplingSettings): Promise<void> {
    const before = this.#lastStep;
    const step = before === null ? this.#step(settings) : before.then(() => this.#step(settings));
    const done = step
      .catch(() => undefined)
      .then(() => {
        if (this.#lastStep === done) this.#lastStep = null;
      });
    this.#lastStep = done;
    return step;
  }

  async #step(settings: SamplingSettings): Promise<void> {
    const { answers, prompt, random } = this.#parts;
    const { answer } = answers;
    if (answer === null || prompt.isContextFull) return;
    const distribution = samplingDistribution(answer.activations.lastLogits, settings);
    const { seed } = settings;
    const uniform = seed === null ? random() : uniformAt(seed, answer.activations.ids.length);
    await prompt.append(drawToken(distribution, uniform), this.running);
  }

  /** Draw tokens until stopped, the context is full, or the model ends the text. */
  async play(settings: () => SamplingSettings): Promise<void> {
    const { answers, prompt, notices } = this.#parts;
    if (this.running || this.#answer() === null) return;
    this.running = true;
    this.end = null;
    while (this.#isRunning()) {
      const began = performance.now();
      const before = prompt.ids.length;
      await this.step(settings());
      if (notices.current !== null || prompt.ids.length === before) break;
      this.end = this.#endHere();
      if (this.end !== null) break;
      await pause(Math.max(0, TOKEN_PACE_MS - (performance.now() - began)));
    }
    this.running = false;
    // The run without interventions, for comparison, was skipped while generating.
    const isAltered = !isNeutral(answers.interventions);
    if (isAltered && this.#answer()?.untouchedLogits === null) await answers.request();
  }

  stop(): void {
    this.running = false;
  }

  // Through methods, because another task may have changed them meanwhile.
  #isRunning(): boolean {
    return this.running;
  }

  #answer(): Answer | null {
    return this.#parts.answers.answer;
  }

  #endHere(): GenerationEnd | null {
    const { prompt } = this.#parts;
    if (prompt.isContextFull) return { reason: 'context-full' };
    const last = prompt.ids.at(-1);
    const manifest = prompt.model?.manifest;
    if (last === undefined || manifest === undefined) return null;
    if (!endTokensOf(manifest).includes(last)) return null;
    return { reason: 'end-token', token: labelOf(last, prompt.bytesOf(last)) };
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
