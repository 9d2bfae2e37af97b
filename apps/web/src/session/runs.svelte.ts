// Runs texts through a model, one at a time, and caches their activations by interventions.
import { mergeRun, type ActivationSet } from '../activations/activation_set';
import { BudgetedCache } from '../inference/budgeted_cache';
import { interventionKey, neutralKey, type Interventions } from '../inference/interventions';
import type { ModelClient } from '../inference/client_interface';
import type { RunResult } from '../inference/model_types';

/** Maximum for the activations of earlier interventions, those of the last ones among them. */
const CACHED_BYTES = 64 * 2 ** 20;

export interface FinishedRun {
  readonly activations: ActivationSet;
  readonly result: RunResult;
}

export class Runs {
  /** True while a run or a change of taps is under way. */
  busy = $state(false);
  readonly #answerOnce: () => Promise<void>;
  readonly #cached: BudgetedCache<ActivationSet>;
  /** Counts calls of `clear`, so that no run from before fills the cache again. */
  #clearings = 0;
  #isWanted = false;
  #draining: Promise<void> | null = null;
  #last: Promise<unknown> = Promise.resolve();
  #underWay = 0;

  /** `answerOnce` answers to the newest text. `keepsUntouched`: the run without interventions stays cached. */
  constructor(answerOnce: () => Promise<void>, keepsUntouched: boolean) {
    this.#answerOnce = answerOnce;
    const pinned = keepsUntouched ? neutralKey : null;
    this.#cached = new BudgetedCache({ maxBytes: CACHED_BYTES, pinned });
  }

  /** Request an answer to the newest text; of requests that come during a run, one is enough. */
  async request(): Promise<void> {
    this.#isWanted = true;
    this.#draining ??= this.#drain();
    await this.#draining;
  }

  async #drain(): Promise<void> {
    try {
      while (this.#isWanted) {
        this.#isWanted = false;
        await this.enqueue(this.#answerOnce);
      }
    } finally {
      this.#draining = null;
    }
  }

  /** Do this work after all earlier runs and changes of taps, never at the same time: rows must join in order. */
  async enqueue<Result>(work: () => Promise<Result>): Promise<Result> {
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

  /** Run the text, and join the new rows to those that are cached. Call it inside `enqueue` or `answerOnce`. */
  async run(
    client: ModelClient,
    ids: readonly number[],
    interventions: Interventions,
  ): Promise<FinishedRun> {
    const clearings = this.#clearings;
    const key = interventionKey(interventions, ids.length);
    let result = await client.run({ ids, interventions, reuseCache: true });
    let activations = mergeRun(this.#cached.get(key), result);
    if (activations === null) {
      result = await client.run({ ids, interventions, reuseCache: false });
      activations = mergeRun(null, result);
    }
    if (activations === null) throw new Error('a whole run did not start at the first token');
    if (clearings === this.#clearings) this.#cached.set(key, activations, activations.bytes);
    return { activations, result };
  }

  /** Forget all activations, as for another model or other taps. */
  clear(): void {
    this.#clearings++;
    this.#cached.clear();
  }
}
