// The list of models for the picker, asked for once; again where it did not come. How it is read: bundle/model_catalogue.ts.
import { listModels, type CatalogueEntry } from '../bundle/model_catalogue';
import { toModelErrorData } from '../inference/model_error';
import type { ModelErrorData } from '../inference/model_types';

export class Catalogue {
  models = $state.raw<readonly CatalogueEntry[]>([]);
  /** Why there is no list although the host may have one; null while it is on its way, and once it is here. */
  error = $state.raw<ModelErrorData | null>(null);
  readonly #list: () => Promise<CatalogueEntry[]>;
  #arriving: Promise<void> | null = null;

  constructor(list: () => Promise<CatalogueEntry[]> = listModels) {
    this.#list = list;
  }

  /** Settles once the list is here, or known not to come. Never rejects; asks again where it did not come before. */
  arrive(): Promise<void> {
    this.#arriving ??= this.#ask();
    return this.#arriving;
  }

  async #ask(): Promise<void> {
    this.error = null;
    try {
      this.models = await this.#list();
    } catch (error) {
      this.error = toModelErrorData(error, 'session');
      this.#arriving = null;
    }
  }
}
