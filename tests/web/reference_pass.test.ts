// Reference passes: errors computed by hand, the first failure in computation order, and untrusted files.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { BundleError } from '../../apps/web/src/bundle/bundle_error';
import type { Manifest, ReferencePassRecord } from '../../apps/web/src/contract/generated';
import { comparePass } from '../../apps/web/src/inference/compare_pass';
import type { Tensor } from '../../apps/web/src/inference/model_types';
import { passSpecs, readReferencePass } from '../../apps/web/src/inference/read_reference_pass';

const read = (path: string): unknown =>
  JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'));

interface Case {
  what: string;
  name: string;
  measure: ReferencePassRecord['measure'];
  dims: number[];
  gotDims?: number[];
  want: number[];
  got: (number | string)[];
  probs?: number[];
  error: number | string;
}

const { cases } = read('../fixtures/reference_pass/cases.json') as { cases: Case[] };

function tensor(name: string, dims: number[], values: readonly (number | string)[]): Tensor {
  const numbers = values.map(Number);
  const data = name.endsWith('ids') ? Int32Array.from(numbers) : Float32Array.from(numbers);
  return { name, dims, data };
}

const bounds = {
  ...{ q: 1, attn_scores: 1, lens_ids: 1, lens_probs: 1 },
  ...{ expert_ids: 1, router_probs: 1 },
};

test.each(cases)('$what', ({ name, measure, dims, gotDims, want, got, probs, error }) => {
  // Of the tokens that are listed, and of all experts.
  const of = name.includes('expert') ? 'layer_0_router_probs' : 'layer_0_lens_probs';
  const rows = dims.slice(0, -1);
  const width = (probs?.length ?? 0) / rows.reduce((product, size) => product * size, 1);
  const given = probs === undefined ? [] : [tensor(of, [...rows, width], probs)];
  const mine = [...given, tensor(name, gotDims ?? dims, got)];
  const found = comparePass(
    new Map(mine.map((each) => [each.name, each])),
    [tensor(name, dims, want), ...given],
    { measure, bounds },
  );
  expect(found.worst.error).toBeCloseTo(Number(error), 12);
});

describe('which activation is reported', () => {
  const names = ['layer_0_q', 'layer_0_k', 'layer_1_q', 'logits'];
  const want = names.map((name) => tensor(name, [1, 1, 2], [1, 1]));
  const factors = [1, 1.5, 3, 1];
  const got = new Map(
    names.map((name, at) => {
      const factor = factors[at] ?? 1;
      return [name, tensor(name, [1, 1, 2], [factor, factor])] as const;
    }),
  );
  const told = (limits: Record<string, number>, run = got) =>
    comparePass(run, want, { measure: 'largest', bounds: limits });

  test('the first in computation order, and the worst of those beyond their bounds', () => {
    const found = told({ q: 0.1, k: 0.1, logits: 0.1 });
    expect(found.first?.name).toBe('layer_0_k');
    expect(found.worst.name).toBe('layer_1_q');
    expect(found.compared).toBe(4);
  });

  test('the largest error if all are within their bounds', () => {
    const found = told({ q: 9, k: 0.6, logits: 0.1 });
    expect(found.first).toBeNull();
    expect(found.worst).toEqual({ name: 'layer_1_q', error: 2, bound: 9 });
  });

  test('an activation that the run lacks', () => {
    const less = new Map(got);
    less.delete('logits');
    const { first } = told({ q: 9, k: 0.6, logits: 0.1 }, less);
    expect(first).toEqual({ name: 'logits', error: Infinity, bound: 0.1 });
  });
});

const manifest = read('../../contracts/examples/valid/manifest__reference_pass.json') as Manifest;
const { shape } = manifest.model;
const [variant] = manifest.variants;
const record = variant?.reference_pass;
if (record === undefined) throw new Error('the example has no reference pass');

interface Written {
  dtype: string;
  shape: number[];
  bytes: Uint8Array;
}

/** A complete pass of two tokens, for 1 layer, 2 heads and a vocabulary of 32 tokens. */
function tensors(): Map<string, Written> {
  const size = (dimension: number | string): number =>
    typeof dimension === 'number' ? dimension : dimension === 'batch_size' ? 1 : 2;
  const written = passSpecs(shape).map(({ name, dtype, shape: dims }): [string, Written] => {
    const sizes = name === 'logits' ? [1, 1, shape.vocab] : dims.map(size);
    const count = sizes.reduce((product, each) => product * each, 1);
    const numbers = Array.from({ length: count }, (_, at) => at);
    return dtype === 'int64'
      ? [
          name,
          integers(
            sizes,
            numbers.map((at) => at % shape.vocab),
          ),
        ]
      : [
          name,
          floats(
            sizes,
            numbers.map((at) => at / 7),
          ),
        ];
  });
  return new Map([['input_ids', integers([1, 2], [5, 31])], ...written]);
}

function floats(shape: number[], values: number[]): Written {
  return { dtype: 'F32', shape, bytes: new Uint8Array(Float32Array.from(values).buffer) };
}

function integers(shape: number[], values: number[]): Written {
  const data = BigInt64Array.from(values, BigInt);
  return { dtype: 'I64', shape, bytes: new Uint8Array(data.buffer) };
}

function file(parts: ReadonlyMap<string, Written>): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = { __metadata__: { about: 'a test' } };
  let end = 0;
  for (const [name, { dtype, shape, bytes }] of parts) {
    header[name] = { dtype, shape, data_offsets: [end, (end += bytes.length)] };
  }
  let text = JSON.stringify(header);
  text += ' '.repeat(-text.length & 7);
  const whole = new Uint8Array(8 + text.length + end);
  new DataView(whole.buffer).setBigUint64(0, BigInt(text.length), true);
  whole.set(new TextEncoder().encode(text), 8);
  let at = 8 + text.length;
  for (const { bytes } of parts.values()) {
    whole.set(bytes, at);
    at += bytes.length;
  }
  return whole;
}

function refusal(
  bytes: Uint8Array<ArrayBuffer>,
  of: ReferencePassRecord | undefined = record,
): string {
  try {
    if (of !== undefined) readReferencePass(bytes, of, shape);
  } catch (error) {
    if (error instanceof BundleError && error.data.kind === 'integrity') return error.data.got;
    throw error;
  }
  return 'taken';
}

describe('the file', () => {
  test('is read in computation order, logits last', () => {
    const { ids, values } = readReferencePass(file(tensors()), record, shape);
    expect(ids).toEqual([5, 31]);
    const names = values.map(({ name }) => name);
    expect(names.slice(0, 3)).toEqual(['embedding_sum', 'layer_0_resid_pre', 'layer_0_q']);
    expect(names.slice(-2)).toEqual(['final_norm', 'logits']);
    expect(values.at(-1)?.dims).toEqual([1, 1, 32]);
  });

  const hostile: [string, (parts: Map<string, Written>) => void, string][] = [
    ['an activation too few', (parts) => parts.delete('layer_0_q'), 'no layer_0_q'],
    [
      'another shape',
      (parts) => parts.set('layer_0_q', floats([1, 2, 1, 4], [1, 2, 3, 4, 5, 6, 7, 8])),
      'layer_0_q of [1,2,1,4]',
    ],
    [
      'another dtype',
      (parts) => parts.set('layer_0_q', integers([1, 2, 2, 4], Array<number>(16).fill(1))),
      'layer_0_q is not F32',
    ],
    [
      'NaN',
      (parts) => parts.set('logits', floats([1, 1, 32], Array<number>(32).fill(NaN))),
      'logits holds NaN or infinity',
    ],
    ['something else', (parts) => parts.set('more', floats([1], [1])), 'more, which no run gives'],
    [
      'a token beyond the vocabulary',
      (parts) => parts.set('input_ids', integers([1, 2], [5, 32])),
      'input_ids holds what is not in 0 … 31',
    ],
    ['no tokens', (parts) => parts.set('input_ids', integers([1, 0], [])), '0 tokens'],
    [
      'more tokens than the model reads',
      (parts) => parts.set('input_ids', integers([1, 17], Array<number>(17).fill(1))),
      '17 tokens',
    ],
  ];
  test.each(hostile)('with %s is refused', (_what, change, said) => {
    const parts = tensors();
    change(parts);
    expect(refusal(file(parts))).toBe(said);
  });

  test('is refused without the bound of a kind, or if it is damaged', () => {
    const few = Object.fromEntries(Object.entries(record.bounds).filter(([kind]) => kind !== 'v'));
    expect(refusal(file(tensors()), { ...record, bounds: few })).toBe('no bound of v');
    expect(refusal(file(tensors()).slice(0, -1))).toMatch(/ lies from /u);
  });
});
