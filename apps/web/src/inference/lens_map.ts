// Applies a lens pack's map to vectors of the residual stream. load_lens.ts has checked the pack's file.
import { float16Table } from '../bundle/weights/float16';
import { readHeader } from '../bundle/weights/safetensors';
import type { LoadedLens } from './load_lens';

/** Return vectors (count, hidden) as the pack maps them; the same array where it has no map for the layer. */
export function throughPack(
  { bytes, record }: LoadedLens,
  layer: number,
  vectors: Float32Array,
  hidden: number,
): Float32Array {
  const isTuned = record.description.kind === 'tuned';
  const weight = tensorIn(bytes, `layer_${layer}.weight`);
  if (weight === null) return vectors;
  const bias = isTuned ? tensorIn(bytes, `layer_${layer}.bias`) : null;
  const mapped = new Float32Array(vectors.length);
  const sums = new Float64Array(hidden);
  for (let start = 0; start < vectors.length; start += hidden) {
    for (let at = 0; at < hidden; at++)
      sums[at] = (bias?.[at] ?? 0) + (isTuned ? (vectors[start + at] ?? 0) : 0);
    for (let from = 0; from < hidden; from++) {
      const factor = vectors[start + from] ?? 0;
      const row = from * hidden;
      for (let at = 0; at < hidden; at++)
        sums[at] = (sums[at] ?? 0) + factor * (weight[row + at] ?? 0);
    }
    mapped.set(sums, start);
  }
  return mapped;
}

function tensorIn(file: Uint8Array<ArrayBuffer>, name: string): Float32Array | null {
  const place = readHeader(file).places.get(name);
  if (place === undefined) return null;
  const bytes = file.slice(place.from, place.to).buffer;
  if (place.dtype !== 'F16') return new Float32Array(bytes);
  const table = float16Table();
  return Float32Array.from(new Uint16Array(bytes), (bits) => table[bits] ?? NaN);
}
