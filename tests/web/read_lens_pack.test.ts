// Checks of a lens pack's file against its manifest: another model, other maps, values that aren't finite, a truncated
// file, taps that refer to other locations.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { LensPackRecord, Manifest } from '../../apps/web/src/contract/generated';
import { checkManifest } from '../../apps/web/src/contract/validate_manifest';
import { lensTrouble } from '../../apps/web/src/inference/read_lens_pack';

const example = new URL('../../contracts/examples/valid/manifest__lens.json', import.meta.url);
/** Byte offset of the bias in the example's tap; the matrix follows. */
const begin = 584;

function read(): { manifest: Manifest; record: LensPackRecord } {
  const verdict = checkManifest(JSON.parse(readFileSync(example, 'utf8')));
  if (verdict.kind !== 'manifest') throw new Error(JSON.stringify(verdict));
  const [record] = verdict.manifest.lens_packs ?? [];
  if (record === undefined) throw new Error('no pack');
  return { manifest: verdict.manifest, record };
}

interface Made {
  kind?: unknown;
  weights?: string;
  document?: string;
  width?: number;
  dtype?: string;
  start?: number;
  value?: readonly [number, number];
}

/** Return a pack's bytes as safetensors lays them out, with a bias of 8 and a matrix of 8 × 8 float16 numbers. */
function pack({ manifest }: { manifest: Manifest }, changes: Made = {}): Uint8Array<ArrayBuffer> {
  const { kind = 'tuned', weights = manifest.model.weights_digest, width = 8 } = changes;
  const { dtype = 'F16', start = begin, value = [0, 0] } = changes;
  const text = changes.document ?? JSON.stringify({ kind, weights });
  const sizes = [width * 2, width * 8 * 2];
  const header = JSON.stringify({
    __metadata__: { 'oriel.lens_pack': text },
    'layer_0.bias': { dtype, shape: [width], data_offsets: [0, sizes[0]] },
    'layer_0.weight': {
      dtype,
      shape: [8, width],
      data_offsets: [sizes[0], (sizes[0] ?? 0) + (sizes[1] ?? 0)],
    },
  });
  const file = new Uint8Array(start + (sizes[0] ?? 0) + (sizes[1] ?? 0));
  new DataView(file.buffer).setBigUint64(0, BigInt(start - 8), true);
  file.set(new TextEncoder().encode(header.padEnd(start - 8)), 8);
  file.set(value, file.length - 2);
  return file;
}

test('a pack that matches the manifest is accepted', () => {
  const { manifest, record } = read();
  expect(lensTrouble(pack({ manifest }), record, manifest)).toBeNull();
});

const other = `sha256:${'0'.repeat(64)}`;
const cases: readonly [string, Made, string, string][] = [
  ['of another model', { weights: other }, 'other-model', other],
  ['of another kind', { kind: 'prism' }, 'damaged', 'prism'],
  ['without a description', { document: '{' }, 'damaged', 'oriel.lens_pack'],
  ['narrower than the stream', { width: 4 }, 'damaged', 'layer_0.weight'],
  ['of bytes', { dtype: 'U8' }, 'damaged', 'layer_0'],
  ['with a number that is not one', { value: [0x00, 0x7e] }, 'damaged', 'NaN'],
  ['with an infinite number', { value: [0x00, 0xfc] }, 'damaged', '∞'],
  ['that lies elsewhere than its tap reads', { start: begin + 8 }, 'damaged', 'layer 0'],
];
test.each(cases)('a pack %s is refused', (_, made, reason, said) => {
  const { manifest, record } = read();
  const trouble = lensTrouble(pack({ manifest }, made), record, manifest);
  expect(trouble?.reason).toBe(reason);
  expect(trouble?.detail).toContain(said);
});

test('a truncated pack is refused', () => {
  const { manifest, record } = read();
  const whole = pack({ manifest });
  for (const length of [0, 7, 100, whole.length - 1]) {
    expect(lensTrouble(whole.slice(0, length), record, manifest)?.reason).toBe('damaged');
  }
});

test('a tap that refers to another place for the bias is refused', () => {
  const { manifest, record } = read();
  const [tap] = record.taps['fp32'] ?? [];
  if (tap === undefined) throw new Error('no tap');
  const bytes = btoa(atob(tap.bytes).replace('584', '586'));
  const forged = { ...record, taps: { fp32: [{ ...tap, bytes }] } };
  expect(lensTrouble(pack({ manifest }), forged, manifest)).toMatchObject({ reason: 'damaged' });
});
