// Finds the cause of a broken session from messages of the runtime and the GPU. The next attempt: choose_variant.ts.
import type * as Ort from 'onnxruntime-web';
import { nextAttempt } from './choose_variant';
import { messageOf, ModelError } from './model_error';
import type { Attempt, DeviceFacts, FailureCause, Offer, Provider } from './model_types';

/** The attempt at hand, and all that is needed to find another one. */
export interface Opening extends Attempt {
  readonly offer: Offer;
  readonly device: DeviceFacts;
  /** Attempts that failed before. */
  readonly tried: readonly Attempt[];
}

/** Messages of the runtime, the JavaScript engine and the GPU for a failed allocation. */
const outOfMemory =
  /out of memory|bad_alloc|OOM|allocation failed|failed to allocate|could not allocate|cannot enlarge|memory\.grow/i;

/** Messages for float16 shaders that the adapter refuses, and float16 graphs that the runtime refuses. */
const noFloat16 = /\bf16\b|float16|shader-f16/i;

const deviceLost = /device (was |is )?lost|lost device|device is destroyed/i;

/** Watches the GPU's device that sessions run on; on wasm there is none. */
export class GpuWatch {
  #device: GPUDevice | null = null;
  #lost: Error | null = null;
  /** Jobs to reject when the device is lost. A race with `device.lost` would hold their results as long as it lives. */
  readonly #jobs = new Set<(error: Error) => void>();

  get isLost(): boolean {
    return this.#lost !== null;
  }

  /** Watch the runtime's current device. Call it after each new session: the runtime may have made another device. */
  async watch(ort: typeof Ort): Promise<void> {
    const device = await ort.env.webgpu.device;
    if (device === this.#device) return;
    this.#device = device;
    this.#lost = null;
    void device.lost.then(({ message }) => {
      if (this.#device !== device) return;
      const error = new Error(`the GPU's device was lost: ${message || 'no reason given'}`);
      this.#lost = error;
      for (const end of this.#jobs) end(error);
    });
  }

  /** Run a job that rejects as soon as the device is lost: the runtime itself may wait for a lost device forever. */
  guard<Result>(start: () => Promise<Result>): Promise<Result> {
    if (this.#lost !== null) return Promise.reject(this.#lost);
    const job = start();
    return new Promise((resolve, reject) => {
      this.#jobs.add(reject);
      job.then(resolve, reject).finally(() => this.#jobs.delete(reject));
    });
  }
}

export interface Circumstances {
  readonly isDeviceLost?: boolean;
  /** Names of the variants that need no network. */
  readonly kept?: ReadonlySet<string>;
}

/** Make the error of a broken session, with the attempt that the page may offer instead. */
export function failureError(
  kind: 'session' | 'run',
  error: unknown,
  { variant, provider, offer, device, tried }: Opening,
  { isDeviceLost = false, kept = new Set<string>() }: Circumstances = {},
): ModelError {
  const cause = causeOf(error, provider, isDeviceLost);
  const next = nextAttempt(offer, device, { variant, provider, cause }, tried, kept);
  const failure = { variant, provider, cause, next };
  return new ModelError({ kind, detail: messageOf(error), failure }, { cause: error });
}

export function causeOf(error: unknown, provider: Provider, isDeviceLost: boolean): FailureCause {
  const message = messageOf(error);
  if (isDeviceLost || deviceLost.test(message)) return 'device-lost';
  if (outOfMemory.test(message)) return 'out-of-memory';
  if (provider === 'webgpu' && noFloat16.test(message)) return 'no-f16';
  return 'other';
}
