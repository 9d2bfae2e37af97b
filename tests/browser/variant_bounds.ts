// Limits of a variant's error relative to PyTorch, from its manifest and the provider's own arithmetic; and the errors.
import type { Fidelity, Variant } from '../../apps/web/src/contract/generated';
import { parseActivationName } from '../../apps/web/src/contract/activation_table';
import type { Provider } from '../../apps/web/src/inference/model_types';

/** Every variant, in the manifest's order. */
export const all = ['fp32', 'f16', 'q8', 'q4', 'fp16', 'int8', 'int8_static', 'int4'];

/** The model to test on each provider: the trained one, or one small enough for a software GPU. */
export const models: Record<Provider, { bundle: string; fixtures: string }> = {
  wasm: { bundle: 'demo', fixtures: 'demo' },
  webgpu: { bundle: 'tiny-gpt2', fixtures: 'tiny-gpt2' },
};

/** Variants that WebGPU without `shader-f16` refuses, with the reason. */
export const refusedOnGpu: Record<string, string> = {
  fp16: 'needs-f16',
  int8: 'no-kernels',
  int8_static: 'no-kernels',
};

/** KL divergence of some logits' distribution from PyTorch's, in nats. */
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

/** Norm of the difference over the norm of the reference, as the manifest measures it. */
export function relativeError(got: ArrayLike<number>, right: ArrayLike<number>): number {
  let [difference, size] = [0, 0];
  for (let i = 0; i < right.length; i++) {
    difference += ((got[i] ?? NaN) - (right[i] ?? NaN)) ** 2;
    size += (right[i] ?? NaN) ** 2;
  }
  return Math.sqrt(difference / size);
}

/** Return the manifest's error of an activation; 0 if it wasn't measured, as for fp32, which must be exact. */
export function statedError(fidelity: Fidelity | undefined, name: string): number {
  if (fidelity === undefined) return 0;
  const parsed = parseActivationName(name);
  const found = fidelity.activations.find(
    ({ kind, layer }) => kind === parsed?.kind && layer === parsed.layer,
  );
  if (found === undefined) throw new Error(`the manifest states no error of ${name}`);
  return found.relative_error;
}

/** Error from the provider's arithmetic, which differs from the exporter's. */
export const providerError: Record<Provider, number> = { wasm: 3e-5, webgpu: 1e-3 };

/** Factor for measuring a dozen tokens instead of thousands. */
export const spread = 3;

/** Return the limit of the mean KL: the precision's, or the variant's measured value if it exceeds that. */
export function boundOf({ fidelity, lossy }: Variant): number {
  if (fidelity === undefined) return 1e-6;
  return lossy === true ? spread * fidelity.kl_mean : fidelity.bounds.kl_mean;
}
