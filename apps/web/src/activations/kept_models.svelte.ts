// Lists and removes the models that the browser caches, and requests persistence. The cache is bundle/model_shelf.ts.
import { toModelErrorData } from '../inference/model_error';
import type { ModelClient, Shelf } from '../inference/model_types';
import {
  askToPersist,
  mayPersistUnasked,
  readStorage,
  unknownStorage,
  type KeepOutcome,
  type StorageAnswers,
  type StorageFacts,
} from '../inference/storage_facts';

export type ShelfKeeper = Pick<ModelClient, 'shelf' | 'forget' | 'close'>;

/** The parts of `navigator` that are used; tests replace both. */
export interface Browser {
  readonly storage?: StorageAnswers;
  readonly permissions?: Pick<Permissions, 'query'>;
}

export class KeptModels {
  /** null: this browser keeps nothing here; undefined: not known yet. */
  shelf = $state.raw<Shelf | undefined>(undefined);
  storage = $state.raw<StorageFacts>(unknownStorage);
  /** The browser's answer to the last request for persistence; null before. */
  outcome = $state<KeepOutcome | null>(null);
  /** True while a model is being removed or the browser is being asked. */
  busy = $state(false);
  /** True where the last removal failed. */
  removalFailed = $state(false);

  readonly #makeKeeper: () => ShelfKeeper;
  readonly #browser: Browser;
  /** Counts refreshes, so that the results of an older one are dropped. */
  #readings = 0;

  /** `makeKeeper` makes a separate worker where there is no model's worker, as after a failure. */
  constructor(makeKeeper: () => ShelfKeeper, browser: Browser = navigator) {
    this.#makeKeeper = makeKeeper;
    this.#browser = browser;
  }

  /** Return whether a model of this address is cached, in whatever version. */
  holds(url: string): boolean {
    return this.shelf?.some((model) => model.url === url) ?? false;
  }

  /** Read everything again, through `keeper` where there is one. */
  async refresh(keeper: ShelfKeeper | null): Promise<void> {
    const reading = ++this.#readings;
    const [shelf, storage] = await Promise.all([
      this.#ask(keeper, (keeper) => keeper.shelf()).catch((thrown: unknown) =>
        toModelErrorData(thrown, 'session').kind === 'sandboxed' ? null : undefined,
      ),
      readStorage(this.#browser.storage),
    ]);
    if (reading !== this.#readings) return;
    if (shelf !== undefined) this.shelf = shelf;
    this.storage = storage;
  }

  /** Remove everything cached of an address, or with null of all addresses. */
  async remove(keeper: ShelfKeeper | null, url: string | null): Promise<void> {
    this.busy = true;
    this.removalFailed = false;
    const reading = ++this.#readings;
    try {
      const shelf = await this.#ask(keeper, (keeper) => keeper.forget(url));
      const storage = await readStorage(this.#browser.storage);
      if (reading !== this.#readings) return;
      this.shelf = shelf;
      this.storage = storage;
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
    if (this.storage.persistence === 'persistent' || !(this.shelf?.length ?? 0)) return;
    if (!(await mayPersistUnasked(this.#browser.permissions))) return;
    await askToPersist(this.#browser.storage);
    this.storage = await readStorage(this.#browser.storage);
  }

  async #ask<Answer>(
    keeper: ShelfKeeper | null,
    question: (keeper: ShelfKeeper) => Promise<Answer>,
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
