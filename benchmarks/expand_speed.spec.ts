// Measures the expansion of weights in Chromium, on one core, by layout: `npm run bench:browser`. No result fails it.
import { test } from '@playwright/test';
import type * as Expanding from '../apps/web/src/bundle/weights/expanded_ranges';
import type { EncodedWeight, Expansion } from '../apps/web/src/contract/generated';

/** A matrix of GPT-2 small's MLP, and a number of them whose file is larger than any processor cache. */
const [rows, columns, count] = [768, 3072, 12];
const block = 32;

/** Bytes that the runtime requests at a time. */
const rangeBytes = 2 ** 20;

type Layout = Omit<EncodedWeight, 'name' | 'shape' | 'at' | 'values' | 'scales'>;

const layouts: Record<string, Layout> = {
  float32: { layout: 'float32' },
  float16: { layout: 'float16' },
  'q8, a scale for each column': { layout: 'channels', bits: 8, axis: 0, signed: false },
  'q8, a scale for each row': { layout: 'channels', bits: 8, axis: 1, signed: false },
  'q8 in blocks, transposed': { layout: 'blocks', bits: 8, axis: 0, block },
  'q8 in blocks': { layout: 'blocks', bits: 8, axis: 1, block },
  'q4 in blocks, transposed': { layout: 'blocks', bits: 4, axis: 0, block },
  'q4 in blocks': { layout: 'blocks', bits: 4, axis: 1, block },
};

/** Lay out the matrices one after another, with room for the scales of any layout. */
function layOut(layout: Layout): { expansion: Expansion; encodedBytes: number } {
  const numbers = rows * columns;
  const bits = { float32: 32, float16: 16, channels: 8, blocks: layout.bits ?? 8 }[layout.layout];
  const scaleBytes = (numbers / block) * 2;
  const bytes = scaleBytes + (numbers * bits) / 8;
  const weights = Array.from({ length: count }, (_, index): EncodedWeight => {
    const places = { at: index * numbers * 4, values: index * bytes + scaleBytes };
    const scales = layout.axis === undefined ? {} : { scales: index * bytes };
    return { name: `weight ${index}`, shape: [rows, columns], ...layout, ...places, ...scales };
  });
  const size = count * numbers * 4;
  const expansion: Expansion = { path: 'x', bytes: size, digest: '', dtype: 'float32', weights };
  return { expansion, encodedBytes: count * bytes };
}

for (const [name, layout] of Object.entries(layouts)) {
  test(name, async ({ page }) => {
    await page.goto('engine_test.html');
    const speeds = await page.evaluate(
      async ([{ expansion, encodedBytes }, rangeBytes]) => {
        const path = '/src/bundle/weights/expanded_ranges.ts';
        const { ExpandedRanges } = (await import(path)) as typeof Expanding;
        // Bytes of ordinary numbers: as float16 and float32, none is subnormal.
        const encoded = new Uint8Array(encodedBytes).fill(0x3a);
        const speeds: number[] = [];
        for (let round = 0; round < 7; round++) {
          // New each time, as for a new model: the system allocates its pages on first use.
          const expanded = new Uint8Array(expansion.bytes);
          const began = performance.now();
          const ranges = new ExpandedRanges(expansion, {
            bytes: encodedBytes,
            read: (into, at) => {
              into.set(encoded.subarray(at, at + into.length));
            },
          });
          // Read as the runtime reads a tensor.
          for (let at = 0; at < expansion.bytes; at += rangeBytes) {
            ranges.read(expanded.subarray(at, at + rangeBytes), at);
          }
          speeds.push(expansion.bytes / 1000 / (performance.now() - began));
        }
        return speeds;
      },
      [layOut(layout), rangeBytes] as const,
    );
    const sorted = speeds.toSorted((a, b) => a - b);
    const [slowest, fastest] = [sorted[0] ?? NaN, sorted.at(-1) ?? NaN];
    const median = sorted[sorted.length >> 1] ?? NaN;
    const range = `${slowest.toFixed(0)} to ${fastest.toFixed(0)}`;
    console.log(`${name}: median ${median.toFixed(0)} MB of float32 a second (${range})`);
  });
}
