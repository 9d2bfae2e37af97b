// Checks of a dictionary's file against its manifest: another model, another description, other tensors, values that aren't
// finite, thresholds below 0, a truncated file, taps that refer to other locations. And the numbers of its features.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { roundToFloat16 } from '../../apps/web/src/bundle/weights/float16';
import type { DictionaryRecord, Manifest } from '../../apps/web/src/contract/generated';
import { checkManifest } from '../../apps/web/src/contract/validate_manifest';
import { tensorShapes } from '../../apps/web/src/contract/validate_dictionaries';
import { storedTensors } from '../../apps/web/src/contract/validate_tap_bytes';
import { DictionaryNumbers, dictionaryTrouble } from '../../apps/web/src/inference/read_dictionary';

const example = new URL(
  '../../contracts/examples/valid/manifest__dictionary.json',
  import.meta.url,
);

interface Found {
  readonly manifest: Manifest;
  readonly record: DictionaryRecord;
}

function read(name: string): Found {
  const verdict = checkManifest(JSON.parse(readFileSync(example, 'utf8')));
  if (verdict.kind !== 'manifest') throw new Error(JSON.stringify(verdict));
  const record = verdict.manifest.dictionaries?.find((each) => each.name === name);
  if (record === undefined) throw new Error(`no dictionary ${name}`);
  // Short enough for a header that ends where the example's taps expect the first tensor.
  const { trained_on, measured, ...short } = record.description;
  expect([trained_on, measured]).toHaveLength(2);
  return { manifest: verdict.manifest, record: { ...record, description: short } };
}

interface Made {
  /** Text in the place of the description. */
  readonly document?: string;
  /** Tensors to leave out, or with other shapes. */
  readonly shapes?: Readonly<Record<string, readonly number[] | null>>;
  readonly dtype?: 'F32' | 'F16';
  /** Bytes by which every tensor lies behind its place. */
  readonly shift?: number;
  /** A number to write over the first of a tensor. */
  readonly first?: readonly [tensor: string, value: number];
}

/** The number at an index of a tensor in the files that these tests make. */
function valueAt(name: string, index: number): number {
  return name === 'threshold' ? index / 8 : (index - 20) / 4;
}

/** Return a dictionary's bytes, its encoder's tensors where the example's taps expect them. */
function file({ manifest, record }: Found, changes: Made = {}): Uint8Array<ArrayBuffer> {
  const taps = Object.values(record.taps).flatMap(storedTensors);
  const begins = new Map(taps.map(({ name, offset }) => [name.split('/').at(-1) ?? '', offset]));
  const { dtype = taps[0]?.dtype === 10 ? 'F16' : 'F32', shift = 0 } = changes;
  const item = dtype === 'F16' ? 2 : 4;
  const shapes =
    tensorShapes(record.description, manifest.model.shape) ?? new Map<string, number[]>();
  // Tensors lie in the order of their places, and behind them those that no tap reads.
  const places = [...shapes].flatMap(([name, sizes]) => {
    const own = changes.shapes?.[name];
    return own === null ? [] : [{ name, sizes: own ?? sizes, begin: begins.get(name) ?? Infinity }];
  });
  places.sort((a, b) => a.begin - b.begin);
  const bytesOf = (sizes: readonly number[]): number => item * sizes.reduce((a, b) => a * b, 1);
  const start = (places[0]?.begin ?? 0) + shift;
  let offset = 0;
  const entries = places.map(({ name, sizes }) => {
    const from = offset;
    offset += bytesOf(sizes);
    return [name, { dtype, shape: sizes, data_offsets: [from, offset] }] as const;
  });
  const document = changes.document ?? JSON.stringify(record.description);
  const header = JSON.stringify({
    __metadata__: { 'oriel.dictionary': document },
    ...Object.fromEntries(entries),
  });
  const bytes = new Uint8Array(start + offset);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(start - 8), true);
  bytes.set(new TextEncoder().encode(header.padEnd(start - 8)), 8);
  for (const [
    name,
    {
      shape,
      data_offsets: [from = 0],
    },
  ] of entries) {
    const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, index) =>
      index === 0 && changes.first?.[0] === name ? changes.first[1] : valueAt(name, index),
    );
    const half = new Uint16Array(values.length);
    roundToFloat16(values, half);
    bytes.set(new Uint8Array((dtype === 'F16' ? half : values).buffer), start + from);
  }
  return bytes;
}

test.each(['heads_0', 'mlp_1'])('a file that matches the manifest is accepted: %s', (name) => {
  const found = read(name);
  expect(dictionaryTrouble(file(found), found.record, found.manifest)).toBeNull();
});

const other = `sha256:${'0'.repeat(64)}`;
const { description } = read('heads_0').record;
const described = (changes: object): Made => ({
  document: JSON.stringify({ ...description, ...changes }),
});
const cases: readonly [string, Made, 'other-model' | 'damaged', string][] = [
  ['of another model', described({ weights: other }), 'other-model', other],
  [
    'of another layer',
    described({ reads: { kind: 'attn_z', layer: 1 } }),
    'damaged',
    'description',
  ],
  ['of another origin', described({ source: 'elsewhere' }), 'damaged', 'description'],
  ['without a description', { document: '{' }, 'damaged', 'oriel.dictionary'],
  ['with a description that is no object', { document: '3' }, 'other-model', 'undefined'],
  ['without a threshold', { shapes: { threshold: null } }, 'damaged', 'threshold'],
  ['narrower than it says', { shapes: { decoder_weight: [12, 4] } }, 'damaged', 'decoder_weight'],
  ['turned round', { shapes: { decoder_weight: [8, 12] } }, 'damaged', 'decoder_weight'],
  ['with a number that is not one', { first: ['decoder_bias', NaN] }, 'damaged', 'NaN'],
  ['with an infinite number', { first: ['encoder_bias', Infinity] }, 'damaged', '∞'],
  ['with a threshold below 0', { first: ['threshold', -1] }, 'damaged', 'threshold'],
  ['that lies elsewhere than its tap reads', { shift: 8 }, 'damaged', 'tap of fp32'],
];
test.each(cases)('a dictionary %s is refused', (_, made, reason, said) => {
  const found = read('heads_0');
  const trouble = dictionaryTrouble(file(found, made), found.record, found.manifest);
  expect(trouble?.reason).toBe(reason);
  expect(trouble?.detail).toContain(said);
});

test('a truncated file is refused', () => {
  const found = read('heads_0');
  const whole = file(found);
  for (const length of [0, 7, 100, whole.length - 1])
    expect(dictionaryTrouble(whole.slice(0, length), found.record, found.manifest)?.reason).toBe(
      'damaged',
    );
});

test.each([
  ['heads_0', 12, 8],
  ['mlp_1', 20, 8],
] as const)('rows, columns and single numbers of %s are read', (name, features, width) => {
  const numbers = new DictionaryNumbers(file(read(name)));
  const feature = 5;
  expect([...numbers.decoderRow(feature)]).toEqual(
    Array.from({ length: width }, (_, at) => valueAt('decoder_weight', feature * width + at)),
  );
  expect([...numbers.encoderColumn(feature)]).toEqual(
    Array.from({ length: width }, (_, at) => valueAt('encoder_weight', at * features + feature)),
  );
  expect([...numbers.decoderBias()]).toEqual(
    Array.from({ length: width }, (_, at) => valueAt('decoder_bias', at)),
  );
  expect(numbers.encoderBias(feature)).toBe(valueAt('encoder_bias', feature));
  expect(numbers.threshold(feature)).toBe(name === 'mlp_1' ? 0 : valueAt('threshold', feature));
});
