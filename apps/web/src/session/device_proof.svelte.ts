// Compares this device with the publisher's numbers: requests it from the open model once the page is otherwise idle.
import { toModelErrorData } from '../inference/model_error';
import type { DeviceProof, ModelClient } from '../inference/client_interface';
import type { ModelErrorData, OpenedModel } from '../inference/model_types';

export type ProofState =
  /** The comparison waits for the page's own work, or is in progress. */
  | { readonly kind: 'waiting' }
  /** The publisher stored nothing to compare with. */
  | { readonly kind: 'none' }
  /** The stored file couldn't be downloaded or read, or the comparison failed. */
  | { readonly kind: 'failed'; readonly error: ModelErrorData }
  | { readonly kind: 'compared'; readonly proof: DeviceProof };

/** Time that the page must have been idle before. */
const QUIET_MS = 400;

export class DeviceProofs {
  state = $state.raw<ProofState>({ kind: 'waiting' });
  readonly #isBusy: () => boolean;
  readonly #quietMs: number;

  constructor(isBusy: () => boolean, quietMs = QUIET_MS) {
    this.#isBusy = isBusy;
    this.#quietMs = quietMs;
  }

  clear(): void {
    this.state = { kind: 'waiting' };
  }

  /** Compare as soon as the page is idle; only the result for the model opened last is reported. */
  async prove(client: ModelClient, model: OpenedModel, isCurrent: () => boolean): Promise<void> {
    if (model.variant.reference_pass === undefined) {
      this.state = { kind: 'none' };
      return;
    }
    while (isCurrent() && this.state.kind === 'waiting') {
      await pause(this.#quietMs);
      if (isCurrent() && !this.#isBusy()) await this.#proveOnce(client, isCurrent);
    }
  }

  async #proveOnce(client: ModelClient, isCurrent: () => boolean): Promise<void> {
    try {
      const proof = await client.prove();
      if (isCurrent()) this.state = proof === null ? { kind: 'none' } : { kind: 'compared', proof };
    } catch (thrown) {
      const error = toModelErrorData(thrown, 'run');
      // The reader's own session needed the memory: compare once it is there.
      if (isCurrent() && error.kind !== 'aborted') this.state = { kind: 'failed', error };
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
