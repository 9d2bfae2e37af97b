// Chooses the execution provider that comes first, with the reason. Variants: choose_variant.ts; runtimes: runtime.ts.
import { ModelError } from './model_error';
import type { DeviceFacts, OpenRequest, Provider, ProviderReason } from './model_types';

export interface ProviderChoice {
  readonly provider: Provider;
  readonly reason: ProviderReason;
}

export type GpuAnswer = Pick<DeviceFacts, 'webgpu' | 'adapter' | 'software'>;

/**
 * Below this many parameters a step on wasm takes a few milliseconds, less than a GPU needs to be
 * handed several hundred small kernels, and the runtime is half the download.
 */
export const smallModelParameters = 20_000_000;

/** Choose the provider before the model's size is known; return null where the size matters. */
export function chooseWithoutModel(
  requested: OpenRequest['provider'],
  gpu: GpuAnswer,
): ProviderChoice | null {
  if (requested === 'wasm') return { provider: 'wasm', reason: 'requested' };
  if (requested === 'webgpu') {
    if (gpu.adapter !== null) return { provider: 'webgpu', reason: 'requested' };
    throw new ModelError({
      kind: 'provider-unavailable',
      provider: 'webgpu',
      reason: gpu.webgpu ? 'no-adapter' : 'no-webgpu',
    });
  }
  if (!gpu.webgpu) return { provider: 'wasm', reason: 'no-webgpu' };
  if (gpu.adapter === null) return { provider: 'wasm', reason: 'no-adapter' };
  if (gpu.software) return { provider: 'wasm', reason: 'software-adapter' };
  return null;
}

export function chooseForModel(parameters: number): ProviderChoice {
  return parameters < smallModelParameters
    ? { provider: 'wasm', reason: 'small-model' }
    : { provider: 'webgpu', reason: 'webgpu-available' };
}
