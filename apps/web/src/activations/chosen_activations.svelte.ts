// The activations that were asked for, and as many of them as this device's memory holds for the text at hand.
import {
  bytesOfActivations,
  leastRecorded,
  memoryWith,
  roomForActivations,
} from '../inference/activation_memory';
import type { OpenedModel } from '../inference/model_types';
import { defaultActivations } from '../inference/taps';
import { areSame, planActivations, type LeftOut } from './activation_plan';
import type { MemoryRecords } from './memory_records';

/** The size of the text that is to be run. */
export interface Reading {
  readonly tokens: number;
  /** Number of copies of its activations that the page holds: 2 with interventions (with and without), else 1. */
  readonly texts: number;
}

export class ChosenActivations {
  /** Requested activations that stay closed; null where all of them are open. */
  leftOut = $state.raw<LeftOut | null>(null);
  /** All requested activations; null stands for the model's default. */
  wanted = $state.raw<readonly string[] | null>(null);
  readonly #records: MemoryRecords;
  #isForced = false;
  /** Activations of the open session. */
  #open: readonly string[] = [];

  constructor(records: MemoryRecords) {
    this.#records = records;
  }

  ask(names: readonly string[] | null): void {
    this.wanted = names;
  }

  /** Ignore guesses of the memory and earlier failures, until a run fails again. */
  force(): void {
    this.#isForced = true;
  }

  /** Note that a model was opened with the requested activations. */
  begin(model: OpenedModel): void {
    this.#open = this.wanted ?? defaultActivations(model.variant);
    this.leftOut = null;
    this.#isForced = false;
  }

  /** Return the activations to open now; null where the open ones stay. `isAsked`: the reader has just chosen them. */
  next(model: OpenedModel, reading: Reading, isAsked: boolean): readonly string[] | null {
    const { open, leftOut } = planActivations({
      variant: model.variant,
      wanted: this.wanted ?? defaultActivations(model.variant),
      tokens: Math.max(1, reading.tokens),
      room: roomForActivations(model, {
        texts: reading.texts,
        tooMuch: this.#records.tooMuch(model.facts.provider),
        isForced: this.#isForced,
      }),
      staying: isAsked ? null : this.#open,
    });
    this.leftOut = leftOut;
    return areSame(open, this.#open) ? null : open;
  }

  /** Reset the choice to the open activations, and return them. */
  keepOpen(): readonly string[] {
    this.leftOut = null;
    this.wanted = this.#open;
    return this.#open;
  }

  opened(names: readonly string[]): void {
    this.#open = names;
  }

  /** Follow a run: a crash of the tab will count as too much memory, a success cancels a record of as much or less. */
  async follow<Result>(
    model: OpenedModel,
    reading: Reading,
    run: () => Promise<Result>,
  ): Promise<Result> {
    const { provider } = model.facts;
    const activations = this.#bytes(model, reading);
    const bytes = memoryWith(model, activations, reading.texts);
    if (activations <= leastRecorded) return run();
    this.#records.begin(provider, bytes);
    try {
      const result = await run();
      const tooMuch = this.#records.tooMuch(provider);
      if (tooMuch !== null && bytes >= tooMuch) this.#records.clear(provider);
      return result;
    } finally {
      this.#records.end();
    }
  }

  /** Record a run that had too little memory; false where no open activation would be closed for it. */
  record(model: OpenedModel, reading: Reading): boolean {
    const activations = this.#bytes(model, reading);
    if (activations <= leastRecorded) return false;
    this.#records.record(model.facts.provider, memoryWith(model, activations, reading.texts));
    this.#isForced = false;
    return this.next(model, reading, false) !== null;
  }

  /** Note that the reader leaves the page in the middle of a run, which is no failure. */
  leave(): void {
    this.#records.end();
  }

  #bytes(model: OpenedModel, { tokens }: Reading): number {
    const names = model.activations.filter((name) => name !== 'logits');
    return bytesOfActivations(model.variant, names, tokens);
  }
}
