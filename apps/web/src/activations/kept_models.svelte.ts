// What the browser keeps of models and how much room it has: read, removed, asked to stay. Who keeps it: bundle/model_shelf.ts.
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

/** What is asked; tests stand in for both. */
export interface Browser {
  readonly storage?: StorageAnswers;
  readonly permissions?: Pick<Permissions, 'query'>;
}

export class KeptModels {
  /** null: this browser keeps nothing here; undefined: not known yet. */
  shelf = $state.raw<Shelf | undefined>(undefined);
  storage = $state.raw<StorageFacts>(unknownStorage);
  /** What the browser said when it was asked; null before. */
  outcome = $state<KeepOutcome | null>(null);
  /** Something is being removed, or the browser is being asked. */
  busy = $state(false);
  /** The last removal did not come to its end. */
  removalFailed = $state(false);

  readonly #makeKeeper: () => ShelfKeeper;
  readonly #browser: Browser;
  /** Counts readings: what an older one found is dropped. */
  #readings = 0;

  /** It makes a worker of its own where no model's worker is at hand, as after a failure. */
  constructor(makeKeeper: () => ShelfKeeper, browser: Browser = navigator) {
    this.#makeKeeper = makeKeeper;
    this.#browser = browser;
  }

  /** Whether a model of this address is kept, older versions included. */
  holds(url: string): boolean {
    return this.shelf?.some((model) => model.url === url) ?? false;
  }

  /** Reads everything anew, through `keeper` where one is at hand. */
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

  /** Removes what is kept of an address, or with null everything. */
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

  /** For a click: the browser may ask the visitor. */
  async keepForGood(): Promise<void> {
    this.busy = true;
    this.outcome = await askToPersist(this.#browser.storage);
    this.storage = await readStorage(this.#browser.storage);
    this.busy = false;
  }

  /** Once there is something to keep; never where the browser would ask the visitor. */
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
