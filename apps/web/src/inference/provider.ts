// Which execution provider computes, and why. Loading its runtime is runtime.ts.
import { ModelError } from './model_error';
import type { OpenRequest, Provider, RuntimeFacts } from './model_types';

/** What the device offers beside wasm, which every browser has. */
export interface GpuAnswer {
  readonly webgpu: boolean;
  /** Name of the adapter; null where there is none. */
  readonly adapter: string | null;
  /** The adapter computes on the CPU, slower than wasm does. */
  readonly software: boolean;
}

export interface ProviderChoice {
  readonly provider: Provider;
  readonly reason: RuntimeFacts['reason'];
}

/**
 * Below this many parameters a step on wasm takes a few milliseconds, less than a GPU needs to be
 * handed several hundred small kernels, and the runtime is half the download.
 */
export const smallModelParameters = 20_000_000;

export async function askGpu(): Promise<GpuAnswer> {
  // Typed as always there, but absent without TLS and in browsers without WebGPU.
  const gpu = navigator.gpu as GPU | undefined;
  if (gpu === undefined) return { webgpu: false, adapter: null, software: false };
  const adapter = await gpu.requestAdapter().catch(() => null);
  if (adapter === null) return { webgpu: true, adapter: null, software: false };
  const { description, vendor, architecture, isFallbackAdapter } = adapter.info;
  return {
    webgpu: true,
    adapter: description || [vendor, architecture].filter(Boolean).join(' ') || 'unnamed',
    software: isFallbackAdapter || architecture === 'swiftshader',
  };
}

/** What can be said before the model's size is known; null where it matters. */
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
      detail: gpu.webgpu ? 'no adapter' : 'no navigator.gpu',
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
