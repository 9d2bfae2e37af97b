// Lists and removes the models that the browser caches, and requests persistence. The cache is
// bundle/storage/model_cache.ts.
import { toModelErrorData } from '../inference/model_error';
import type { ModelClient } from '../inference/client_interface';
import type { CachedModels } from '../inference/model_types';
import {
  askToPersist,
  mayPersistUnasked,
  readStorage,
  unknownStorage,
  type KeepOutcome,
  type StorageAnswers,
  type StorageFacts,
} from '../inference/storage_facts';

export type CacheKeeper = Pick<ModelClient, 'cachedModels' | 'forget' | 'close'>;

/** The parts of `navigator` that are used; tests replace both. */
export interface Browser {
  readonly storage?: StorageAnswers;
  readonly permissions?: Pick<Permissions, 'query'>;
}

export class KeptModels {
  /** null: this browser keeps nothing here; undefined: not known yet. */
  models = $state.raw<CachedModels | undefined>(undefined);
  storage = $state.raw<StorageFacts>(unknownStorage);
  /** The browser's answer to the last request for persistence; null before. */
  outcome = $state<KeepOutcome | null>(null);
  /** True while a model is being removed or the browser is being asked. */
  busy = $state(false);
  /** True where the last removal failed. */
  removalFailed = $state(false);

  readonly #makeKeeper: () => CacheKeeper;
  readonly #browser: Browser;
  /** Counts refreshes, so that the results of an older one are dropped. */
  #readings = 0;

  /** `makeKeeper` makes a separate worker where there is no model's worker, as after a failure. */
  constructor(makeKeeper: () => CacheKeeper, browser: Browser = navigator) {
    this.#makeKeeper = makeKeeper;
    this.#browser = browser;
  }

  /** Return whether a model of this address is cached, in whatever version. */
  holds(url: string): boolean {
    return this.models?.some((model) => model.url === url) ?? false;
  }

  /** Read everything again, through `keeper` where there is one. */
  async refresh(keeper: CacheKeeper | null): Promise<void> {
    const reading = ++this.#readings;
    const [models, storage] = await Promise.all([
      this.#ask(keeper, (keeper) => keeper.cachedModels()).catch((thrown: unknown) =>
        toModelErrorData(thrown, 'session').kind === 'sandboxed' ? null : undefined,
      ),
      readStorage(this.#browser.storage),
    ]);
    if (reading !== this.#readings) return;
    if (models !== undefined) this.models = models;
    this.storage = storage;
  }

  /** Remove everything cached of an address, or with null of all addresses. */
  async remove(keeper: CacheKeeper | null, url: string | null): Promise<void> {
    this.busy = true;
    this.removalFailed = false;
    try {
      this.models = await this.#ask(keeper, (keeper) => keeper.forget(url));
      // An earlier question may still name what is gone by now.
      const reading = ++this.#readings;
      const storage = await readStorage(this.#browser.storage);
      if (reading === this.#readings) this.storage = storage;
    } catch {
      this.removalFailed = true;
    } finally {
      this.busy = false;
    }
  }

  /** Request persistence. Call it on a click only, as the browser may ask the visitor. */
  async keepForGood(): Promise<void> {
    this.busy = true;
    this.outcome = await askToPersist(this.#browser.storage);
    this.storage = await readStorage(this.#browser.storage);
    this.busy = false;
  }

  /** Request persistence once a model is cached; never where the browser would ask the visitor. */
  async keepForGoodUnasked(): Promise<void> {
    if (this.storage.persistence === 'persistent' || !(this.models?.length ?? 0)) return;
    if (!(await mayPersistUnasked(this.#browser.permissions))) return;
    await askToPersist(this.#browser.storage);
    this.storage = await readStorage(this.#browser.storage);
  }

  async #ask<Answer>(
    keeper: CacheKeeper | null,
    question: (keeper: CacheKeeper) => Promise<Answer>,
  ): Promise<Answer> {
    if (keeper !== null) return question(keeper);
    const own = this.#makeKeeper();
    try {
      return await question(own);
    } finally {
      own.close();
    }
  }
}
