// The activations that were asked for, and as many of them as this device's memory holds for the text at hand.
import {
  bytesOfActivations,
  leastLearned,
  memoryWith,
  roomForActivations,
} from '../inference/activation_memory';
import type { OpenedModel } from '../inference/model_types';
import { defaultActivations } from '../inference/taps';
import { areSame, planActivations, type LeftOut } from './activation_plan';
import type { MemoryLessons } from './memory_lessons';

/** The text that is to be read. */
export interface Reading {
  readonly tokens: number;
  /** How often the page holds it: with and without its interventions. */
  readonly texts: number;
}

export class ChosenActivations {
  /** What stays closed although it was asked for; null where all of it is open. */
  leftOut = $state.raw<LeftOut | null>(null);
  /** Everything that was asked for; null where that is what the model opens by itself. */
  wanted = $state.raw<readonly string[] | null>(null);
  readonly #lessons: MemoryLessons;
  #isForced = false;
  /** What the session that is open was made for. */
  #open: readonly string[] = [];

  constructor(lessons: MemoryLessons) {
    this.#lessons = lessons;
  }

  ask(names: readonly string[] | null): void {
    this.wanted = names;
  }

  /** Counts only what is sure, no guess of the memory and nothing that failed before, until that fails. */
  force(): void {
    this.#isForced = true;
  }

  /** A model was opened with what was asked for. */
  begin(model: OpenedModel): void {
    this.#open = this.wanted ?? defaultActivations(model.variant);
    this.leftOut = null;
    this.#isForced = false;
  }

  /** What is to be opened now; null where what is open stays. `isAsked`: the reader has just asked for it. */
  next(model: OpenedModel, reading: Reading, isAsked: boolean): readonly string[] | null {
    const { open, leftOut } = planActivations({
      variant: model.variant,
      wanted: this.wanted ?? defaultActivations(model.variant),
      tokens: Math.max(1, reading.tokens),
      room: roomForActivations(model, {
        texts: reading.texts,
        tooMuch: this.#lessons.tooMuch(model.facts.provider),
        isForced: this.#isForced,
      }),
      staying: isAsked ? null : this.#open,
    });
    this.leftOut = leftOut;
    return areSame(open, this.#open) ? null : open;
  }

  opened(names: readonly string[]): void {
    this.#open = names;
  }

  /** Follows a run: what it took is known to work afterwards, or to be too much. */
  async follow<Result>(
    model: OpenedModel,
    reading: Reading,
    run: () => Promise<Result>,
  ): Promise<Result> {
    const { provider } = model.facts;
    const activations = this.#bytes(model, reading);
    const bytes = memoryWith(model, activations, reading.texts);
    if (activations <= leastLearned) return run();
    this.#lessons.begin(provider, bytes);
    try {
      const result = await run();
      const tooMuch = this.#lessons.tooMuch(provider);
      if (tooMuch !== null && bytes >= tooMuch) this.#lessons.unlearn(provider);
      return result;
    } finally {
      this.#lessons.end();
    }
  }

  /** Learns from a run that had too little memory; false where that leaves nothing out that was open. */
  learn(model: OpenedModel, reading: Reading): boolean {
    const activations = this.#bytes(model, reading);
    if (activations <= leastLearned) return false;
    this.#lessons.learn(model.facts.provider, memoryWith(model, activations, reading.texts));
    this.#isForced = false;
    return this.next(model, reading, false) !== null;
  }

  /** The reader leaves the page in the middle of a run: that is no failure. */
  leave(): void {
    this.#lessons.end();
  }

  #bytes(model: OpenedModel, { tokens }: Reading): number {
    const names = model.activations.filter((name) => name !== 'logits');
    return bytesOfActivations(model.variant, names, tokens);
  }
}
