// How far a variant may be from PyTorch, as its manifest says, on the device's own arithmetic; and how far it is.
import type { Fidelity, Variant } from '../../apps/web/src/contract/generated';
import { parseActivationName } from '../../apps/web/src/contract/activation_table';
import type { Provider } from '../../apps/web/src/inference/model_types';

/** Every variant, in the manifest's order. */
export const all = ['fp32', 'f16', 'q8', 'q4', 'fp16', 'int8', 'int8_static', 'int4'];

/** The trained model, or one that a GPU in software can compute. */
export const models: Record<Provider, { bundle: string; fixtures: string }> = {
  wasm: { bundle: 'demo', fixtures: 'demo' },
  webgpu: { bundle: 'tiny-gpt2', fixtures: 'tiny-gpt2' },
};

/** What WebGPU without `shader-f16` refuses. */
export const refusedOnGpu: Record<string, string> = {
  fp16: 'needs-f16',
  int8: 'no-kernels',
  int8_static: 'no-kernels',
};

/** Of PyTorch's distribution, to that of some logits: nats. */
export function divergence(right: ArrayLike<number>, got: ArrayLike<number>): number {
  const logSums = [right, got].map((logits) => {
    const values = Array.from(logits);
    const largest = values.reduce((a, b) => Math.max(a, b), -Infinity);
    return largest + Math.log(values.reduce((sum, x) => sum + Math.exp(x - largest), 0));
  });
  const [rightSum = NaN, gotSum = NaN] = logSums;
  return Array.from(right).reduce((sum, logit, id) => {
    const log = logit - rightSum;
    return sum + Math.exp(log) * (log - ((got[id] ?? NaN) - gotSum));
  }, 0);
}

/** Norm of the difference over norm of the reference, as the manifest measures it. */
export function relativeError(got: ArrayLike<number>, right: ArrayLike<number>): number {
  let [difference, size] = [0, 0];
  for (let i = 0; i < right.length; i++) {
    difference += ((got[i] ?? NaN) - (right[i] ?? NaN)) ** 2;
    size += (right[i] ?? NaN) ** 2;
  }
  return Math.sqrt(difference / size);
}

/** The manifest's error for an activation: none where nothing was measured, as of fp32, which is to be exact. */
export function statedError(fidelity: Fidelity | undefined, name: string): number {
  if (fidelity === undefined) return 0;
  const parsed = parseActivationName(name);
  const found = fidelity.activations.find(
    ({ kind, layer }) => kind === parsed?.kind && layer === parsed.layer,
  );
  if (found === undefined) throw new Error(`the manifest states no error of ${name}`);
  return found.relative_error;
}

/** The provider's own arithmetic differs from the exporter's by so much. */
export const providerError: Record<Provider, number> = { wasm: 3e-5, webgpu: 1e-3 };

/** A dozen tokens are not the thousands that were measured: their error may be larger by so much. */
export const spread = 3;

/** Of the mean KL: the precision's own, or what was measured of a variant that misses it. */
export function boundOf({ fidelity, lossy }: Variant): number {
  if (fidelity === undefined) return 1e-6;
  return lossy === true ? spread * fidelity.kl_mean : fidelity.bounds.kl_mean;
}
