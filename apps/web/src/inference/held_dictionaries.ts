// Holds the dictionaries whose features runs may give. They take memory, so only the last ones stay.
import type { Manifest } from '../contract/generated';
import { dictionariesOf } from './dictionary_names';
import type { LoadedDictionary } from './load_dictionary';
import { toModelErrorData } from './model_error';

/** Two, because a run asked for earlier may still need the one being replaced. */
const most = 2;

export class HeldDictionaries {
  readonly #held = new Map<string, LoadedDictionary>();
  /** Downloads under way. */
  readonly #loading = new Map<string, Promise<LoadedDictionary>>();

  /** Return a dictionary, loaded where it isn't held. Callers at the same time share one load. */
  async hold(
    name: string,
    load: (name: string) => Promise<LoadedDictionary>,
  ): Promise<LoadedDictionary> {
    const found = await this.#foundOrLoaded(name, load);
    return found ?? this.hold(name, load);
  }

  /** Return null where another caller's load ended because that caller aborted it. */
  async #foundOrLoaded(
    name: string,
    load: (name: string) => Promise<LoadedDictionary>,
  ): Promise<LoadedDictionary | null> {
    const held = this.#held.get(name);
    if (held !== undefined) return this.#kept(name, held);
    const others = this.#loading.get(name);
    if (others !== undefined)
      return others.catch((thrown: unknown) => {
        if (toModelErrorData(thrown, 'run').kind === 'aborted') return null;
        throw thrown;
      });
    const own = load(name);
    this.#loading.set(name, own);
    try {
      const loaded = await own;
      // After `clear` the model is another one.
      return this.#loading.get(name) === own ? this.#kept(name, loaded) : loaded;
    } finally {
      if (this.#loading.get(name) === own) this.#loading.delete(name);
    }
  }

  /** Hold a dictionary as the last one used, in the place of the oldest. */
  #kept(name: string, dictionary: LoadedDictionary): LoadedDictionary {
    this.#held.delete(name);
    this.#held.set(name, dictionary);
    for (const old of [...this.#held.keys()].slice(0, -most)) this.#held.delete(old);
    return dictionary;
  }

  /** Return the dictionaries whose features are among these outputs, as far as they are held. */
  among(manifest: Manifest, outputs: readonly string[]): LoadedDictionary[] {
    return dictionariesOf(manifest, outputs).flatMap(({ name }) => this.#held.get(name) ?? []);
  }

  /** Forget the dictionaries of another model. */
  clear(): void {
    this.#held.clear();
    this.#loading.clear();
  }
}
