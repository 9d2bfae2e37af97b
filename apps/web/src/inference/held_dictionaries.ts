// Holds the dictionaries whose features runs may give. They take memory, so only the last ones stay.
import type { Manifest } from '../contract/generated';
import { dictionariesOf } from './dictionary_names';
import type { LoadedDictionary } from './load_dictionary';

/** One that is being replaced may still be needed by a run that was asked for before. */
const most = 2;

export class HeldDictionaries {
  readonly #held = new Map<string, LoadedDictionary>();

  /** Return a dictionary, loaded where it isn't held. */
  async hold(
    name: string,
    load: (name: string) => Promise<LoadedDictionary>,
  ): Promise<LoadedDictionary> {
    const found = this.#held.get(name) ?? (await load(name));
    // The last one used stands last.
    this.#held.delete(name);
    this.#held.set(name, found);
    for (const old of [...this.#held.keys()].slice(0, -most)) this.#held.delete(old);
    return found;
  }

  /** Return the dictionaries whose features are among these outputs, as far as they are held. */
  among(manifest: Manifest, outputs: readonly string[]): LoadedDictionary[] {
    return dictionariesOf(manifest, outputs).flatMap(({ name }) => this.#held.get(name) ?? []);
  }

  /** Forget the dictionaries of another model. */
  clear(): void {
    this.#held.clear();
  }
}
