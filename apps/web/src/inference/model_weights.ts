// The weights of the open model. Between sessions they lie in the browser's store, and each new session reads them
// again.
import { BundleError } from '../bundle/bundle_error';
import { noStore } from '../bundle/storage/chunk_store';
import type { ModelCache } from '../bundle/storage/model_cache';
import { openWeights, type OpenWeights, type WeightsFile } from '../bundle/weights/weights_file';

export class ModelWeights {
  #files: readonly WeightsFile[];
  readonly #modelCache: ModelCache | null;
  readonly #fetchAgain: (isStored: boolean) => Promise<readonly WeightsFile[]>;

  /**
   * `fetchAgain` downloads and verifies missing pieces and returns the files; with `isStored` false it keeps all pieces
   * in memory.
   */
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
   * Open all files to create a session; close them afterwards. Pieces that the visitor or another tab has removed are
   * downloaded again; where the store doesn't return what was written, all are kept in memory. Rejects as downloads do.
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
