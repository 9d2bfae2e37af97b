// Asks the device what it offers beside wasm, which every browser has. What follows from the answers is provider.ts and
// choose_variant.ts.
import { inTime, startLimits } from '../bundle/download/retry_policy';
import type { DeviceFacts } from './model_types';

/** More threads than this gain little on models that fit a page, and phones grow hot. */
const maxThreads = 4;

/** Properties that `navigator` has only in some browsers. */
interface Hints {
  readonly deviceMemory?: number;
  readonly connection?: { readonly saveData?: boolean };
}

export async function askDevice(): Promise<DeviceFacts> {
  const { deviceMemory, connection } = navigator as Navigator & Hints;
  return {
    ...(await askGpu()),
    memoryGiB: deviceMemory ?? null,
    threads: wasmThreads(),
    crossOriginIsolated: globalThis.crossOriginIsolated,
    saveData: connection?.saveData ?? false,
  };
}

/** Name of the model's worker where several threads did not start: the page then starts a worker with one. */
export const oneThreadWorker = 'oriel-model-one-thread';

/** Return whether this worker was started because another one's threads did not start. */
export function isForOneThread(): boolean {
  return self.name === oneThreadWorker;
}

/** Return the number of wasm threads. They share memory, which browsers give to cross-origin isolated pages only. */
export function wasmThreads(): number {
  if (isForOneThread()) return 1;
  return globalThis.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, maxThreads) : 1;
}

type GpuFacts = Pick<
  DeviceFacts,
  'webgpu' | 'adapter' | 'software' | 'shaderF16' | 'maxBindingBytes' | 'maxBufferBytes'
>;

const noGpu: GpuFacts = {
  webgpu: false,
  adapter: null,
  software: false,
  shaderF16: false,
  maxBindingBytes: null,
  maxBufferBytes: null,
};

async function askGpu(): Promise<GpuFacts> {
  // Typed as always there, but absent without TLS and in browsers without WebGPU.
  const gpu = navigator.gpu as GPU | undefined;
  if (gpu === undefined) return noGpu;
  const asking = gpu.requestAdapter().catch(() => null);
  const adapter = await inTime(asking, startLimits.adapter, null);
  if (adapter === null) return { ...noGpu, webgpu: true };
  const { description, vendor, architecture, isFallbackAdapter } = adapter.info;
  return {
    webgpu: true,
    adapter: description || [vendor, architecture].filter(Boolean).join(' ') || 'unnamed',
    software: isFallbackAdapter || architecture === 'swiftshader',
    shaderF16: adapter.features.has('shader-f16'),
    maxBindingBytes: adapter.limits.maxStorageBufferBindingSize,
    maxBufferBytes: adapter.limits.maxBufferSize,
  };
}
