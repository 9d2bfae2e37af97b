// Keeps the GPU's device from one session to the next, and with it the shaders that the runtime has compiled.
import type * as Ort from 'onnxruntime-web';

type Released = Pick<Ort.InferenceSession, 'release'>;

/** Bytes of weights that released sessions may leave on a device. */
const mostLeft = 256 * 2 ** 20;

/**
 * The runtime ends its device with its last session, and the next one compiles every shader again: seconds, each time that
 * an activation is opened. A small session that stays open prevents that. But as long as a device lives, the runtime
 * (1.27) frees no weights of released sessions, so the device ends all the same when those have become too many.
 */
export class KeptDevice {
  #small: Released | null;
  readonly #make: () => Promise<Released>;
  #left = 0;

  /** Keep the device of a small session, which may be released; `make` makes another. */
  constructor(small: Released, make: () => Promise<Released>) {
    this.#small = small;
    this.#make = make;
  }

  /** Count the weights that a released session leaves behind, in bytes. */
  count(bytes: number): void {
    this.#left += bytes;
  }

  /** End the device if too much is left on it. Call this where no other session is open. */
  async endIfFull(): Promise<void> {
    if (this.#left <= mostLeft) return;
    const small = this.#small;
    this.#small = null;
    this.#left = 0;
    await small?.release();
  }

  /** Keep the device of the session just made. */
  async keep(): Promise<void> {
    this.#small ??= await this.#make();
  }
}
