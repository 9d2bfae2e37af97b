// The weights of the open model, between sessions: in the browser's store, and read again from there for each session.
import { BundleError } from '../bundle/bundle_error';
import { noStore } from '../bundle/storage/chunk_store';
import type { ModelCache } from '../bundle/storage/model_cache';
import { openWeights, type OpenWeights, type WeightsFile } from '../bundle/weights/weights_file';

export class ModelWeights {
  #files: readonly WeightsFile[];
  readonly #modelCache: ModelCache | null;
  readonly #fetchAgain: (isStored: boolean) => Promise<readonly WeightsFile[]>;

  /** `fetchAgain` gets what the store lacks, proves it and returns the files; where it isn't stored, all, in memory. */
  constructor(
    files: readonly WeightsFile[],
    modelCache: ModelCache | null,
    fetchAgain: (isStored: boolean) => Promise<readonly WeightsFile[]>,
  ) {
    this.#files = files;
    this.#modelCache = modelCache;
    this.#fetchAgain = fetchAgain;
  }

  /**
   * Open all files for a session; close them when it is made. Where the visitor or another tab has removed a piece
   * since, it is fetched again; where the store doesn't give what was written there, all is kept in memory. Rejects as
   * downloads do.
   */
  async open(): Promise<readonly OpenWeights[]> {
    const opened = await this.#tryOpen();
    if (opened !== null) return opened;
    for (const isStored of [true, false]) {
      this.#files = await this.#fetchAgain(isStored);
      const again = await this.#tryOpen();
      if (again !== null) return again;
    }
    const path = this.#files[0]?.path ?? '';
    throw new BundleError({ kind: 'integrity', path, expected: 'a stored file', got: 'none' });
  }

  async #tryOpen(): Promise<readonly OpenWeights[] | null> {
    const store = this.#modelCache?.chunks ?? noStore;
    const opened: OpenWeights[] = [];
    let isWhole = false;
    try {
      for (const file of this.#files) {
        const weights = await openWeights(file, store);
        if (weights === null) return null;
        opened.push(weights);
      }
      isWhole = true;
      return opened;
    } finally {
      if (!isWhole) for (const open of opened) open.close();
    }
  }
}
