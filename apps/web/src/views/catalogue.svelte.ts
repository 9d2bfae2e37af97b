// The list of models for the picker, requested once, and again where that failed. It is read by bundle/model_catalogue.
import { listModels, type CatalogueEntry } from '../bundle/address/model_catalogue';
import { toModelErrorData } from '../inference/model_error';
import type { ModelErrorData } from '../inference/model_types';

export class Catalogue {
  models = $state.raw<readonly CatalogueEntry[]>([]);
  /** The error where there is no list although the host may have one; null while it is fetched, and once it is here. */
  error = $state.raw<ModelErrorData | null>(null);
  readonly #list: () => Promise<CatalogueEntry[]>;
  #arriving: Promise<void> | null = null;

  constructor(list: () => Promise<CatalogueEntry[]> = listModels) {
    this.#list = list;
  }

  /** Wait until the list has arrived or failed. Never rejects; requests the list again where it failed before. */
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
