// The reader's list of edits, the only place where the page keeps them. The numbers of those that come from texts are
// computed before the next run: text_numbers.ts.
/* eslint-disable svelte/prefer-svelte-reactivity -- the map is replaced whole */
import type { ModelShape } from '../contract/generated';
import type { Numbers } from '../inference/edits';
import type { Interventions } from '../inference/interventions';
import {
  fits,
  listed,
  textNumbersOf,
  withNumbers,
  type ListedEdit,
} from '../inference/listed_edits';
import type { ModelErrorData } from '../inference/model_types';

/** The numbers of an entry, or why there are none. */
export type Computed = { readonly numbers: Numbers } | { readonly error: ModelErrorData };

export class EditList {
  entries = $state.raw<readonly ListedEdit[]>([]);
  #computed = $state.raw<ReadonlyMap<string, Computed>>(new Map());

  /** The edits that are on and whose numbers are known. */
  get active(): Interventions {
    return this.entries.flatMap((entry) => {
      const { edit, isOn } = entry;
      if (!isOn) return [];
      if (textNumbersOf(entry) === null) return [edit];
      const computed = this.#computed.get(numbersKey(entry));
      return computed !== undefined && 'numbers' in computed
        ? [withNumbers(edit, computed.numbers)]
        : [];
    });
  }

  /** Replace all entries by edits that are on. */
  replace(interventions: Interventions): void {
    this.entries = interventions.map((edit) => listed(edit));
  }

  /** Keep the entries that a model has a place for; the numbers of texts are another model's. */
  keepFitting(shape: ModelShape): void {
    this.entries = this.entries.filter((entry) => fits(entry, shape));
    this.#computed = new Map();
  }

  /** Return why an entry has no numbers; null where it has them or they are yet to be computed. */
  errorOf(entry: ListedEdit): ModelErrorData | null {
    const computed = this.#computed.get(numbersKey(entry));
    return computed !== undefined && 'error' in computed ? computed.error : null;
  }

  /** List the entries that are on and whose numbers have to be computed. */
  get lacking(): readonly ListedEdit[] {
    return this.entries.filter(
      (entry) =>
        entry.isOn && textNumbersOf(entry) !== null && !this.#computed.has(numbersKey(entry)),
    );
  }

  take(entry: ListedEdit, computed: Computed): void {
    this.#computed = new Map([...this.#computed, [numbersKey(entry), computed]]);
  }

  /** Forget the numbers of texts, which are read in another way now. */
  forgetNumbers(): void {
    this.#computed = new Map();
  }
}

/** Return a key of what the numbers depend on: the texts, and the joint that they are read at. */
function numbersKey({ edit, from }: ListedEdit): string {
  const joint = 'joint' in edit ? edit.joint : '';
  return JSON.stringify([joint, edit.layer, from]);
}
