// Computes the memory that a variant needs on each provider, and compares it with this device's. Pure arithmetic on the
// manifest and the device's answers; choosing among variants is choose_variant.ts.
import memory from '../../../../contracts/browser_memory.json' with { type: 'json' };
import { filesToOpen } from '../bundle/download/download';
import { maxFileBytes } from '../bundle/download/file_memory';
import type { Manifest, Variant } from '../contract/generated';
import type { DeviceFacts, Fitness, Provider, Refusal, VariantOffer } from './model_types';

const GiB = 2 ** 30;

/** Share of the device's memory that a page may count on: the rest is the system's and the other pages'. */
const memoryShare = 1 / 2;

/** Memory assumed where the browser reports none, as Firefox and Safari: phones a few years old must not crash. */
const assumedMemoryGiB = 2;

/** WebAssembly addresses 4 GiB; activations and the runtime itself need half a GiB of them. */
export const heapBytes = memory.heap_bytes;

/**
 * Final size of the runtime's own memory as a multiple of the bytes that it reads: it copies the weights, and
 * packs or widens them once more. Measured with GPT-2 small; on WebGPU, the GPU's copy is counted.
 */
const runtimeShare: Record<Provider, Record<string, number>> = {
  wasm: memory.runtime_share,
  webgpu: {},
};
const otherShare = 2;

/** Bytes per number of the embedding as the kernels read it, for manifests that do not name the largest weight. */
const bytesPerNumber: Record<string, number> = { fp32: 4, fp16: 2 };

/** Kernels with integer products: on WebGPU the runtime would compute these on the CPU and copy data both ways. */
const withoutGpuKernels = new Set(memory.without_gpu_kernels);

export function offerOfVariant(
  manifest: Manifest,
  variant: Variant,
  device: DeviceFacts,
): VariantOffer {
  return {
    name: variant.name,
    kernels: kernelsOf(variant),
    encoding: variant.encoding ?? (kernelsOf(variant) === 'fp16' ? 'f16' : 'f32'),
    bytes: filesToOpen(manifest, variant).reduce((sum, { bytes }) => sum + bytes, 0),
    on: {
      webgpu: fitness(manifest, variant, 'webgpu', device),
      wasm: fitness(manifest, variant, 'wasm', device),
    },
    fidelity: variant.fidelity ?? null,
    lossy: variant.lossy === true || variant.fidelity?.within_bounds === false,
  };
}

/** Return the bytes of this device's memory that the weights may take. */
export function memoryLimit({ memoryGiB }: DeviceFacts): number {
  return (memoryGiB ?? assumedMemoryGiB) * GiB * memoryShare;
}

/** Return the bytes of the variant's weights as its graphs read them. */
export function readBytes({ files }: Manifest, { weights, expansion }: Variant): number {
  if (expansion !== undefined) return expansion.bytes;
  return files
    .filter(({ path }) => weights.includes(path))
    .reduce((sum, { bytes }) => sum + bytes, 0);
}

function kernelsOf({ kernels, precision }: Variant): string {
  return kernels ?? precision;
}

function fitness(
  manifest: Manifest,
  variant: Variant,
  provider: Provider,
  device: DeviceFacts,
): Fitness {
  const read = readBytes(manifest, variant);
  const inRuntime = Math.ceil(read * (runtimeShare[provider][kernelsOf(variant)] ?? otherShare));
  // The page keeps the weights in memory if the browser's store has no room for them; otherwise it may create a second
  // session. Either needs this memory.
  const needed = read + inRuntime;
  const refusal =
    (provider === 'webgpu' ? gpuRefusal(manifest, variant, device) : heapRefusal(inRuntime)) ??
    sizeRefusal(manifest, variant) ??
    memoryRefusal(needed, device);
  return { memory: needed, refusal };
}

function gpuRefusal(manifest: Manifest, variant: Variant, device: DeviceFacts): Refusal | null {
  if (!device.webgpu) return { code: 'no-webgpu' };
  if (device.adapter === null) return { code: 'no-adapter' };
  const kernels = kernelsOf(variant);
  if (withoutGpuKernels.has(kernels)) return { code: 'no-kernels', kernels };
  if (kernels === 'fp16' && !device.shaderF16) return { code: 'needs-f16' };
  const bytes = largestWeight(manifest, variant);
  const { maxBindingBytes, maxBufferBytes } = device;
  if (maxBindingBytes !== null && bytes > maxBindingBytes) {
    return { code: 'weight-over-binding', bytes, limit: maxBindingBytes };
  }
  if (maxBufferBytes !== null && bytes > maxBufferBytes) {
    return { code: 'weight-over-buffer', bytes, limit: maxBufferBytes };
  }
  return null;
}

function largestWeight({ model }: Manifest, variant: Variant): number {
  const { vocab, hidden, intermediate } = model.shape;
  const numbers = hidden * Math.max(vocab, intermediate);
  return variant.largest_weight ?? numbers * (bytesPerNumber[kernelsOf(variant)] ?? 1);
}

function heapRefusal(bytes: number): Refusal | null {
  return bytes > heapBytes ? { code: 'over-heap', bytes, limit: heapBytes } : null;
}

/** Check the size of files. Weights are read in pieces, but no session of a larger file has been tried. */
function sizeRefusal({ files }: Manifest, { weights, expansion }: Variant): Refusal | null {
  const sizes = files.filter(({ path }) => weights.includes(path)).map(({ bytes }) => bytes);
  const bytes = Math.max(...sizes, expansion?.bytes ?? 0);
  return bytes > maxFileBytes ? { code: 'file-too-large', bytes, limit: maxFileBytes } : null;
}

function memoryRefusal(bytes: number, device: DeviceFacts): Refusal | null {
  const limit = memoryLimit(device);
  return bytes > limit ? { code: 'memory', bytes, limit } : null;
}
