// What a publisher computed beforehand: read as it was written, and refused as soon as no run could have given it.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { BundleError } from '../../apps/web/src/bundle/bundle_error';
import { readSafetensors } from '../../apps/web/src/bundle/weights/safetensors';
import type { Manifest } from '../../apps/web/src/contract/generated';
import { readFirstPass } from '../../apps/web/src/inference/read_first_pass';

const example = new URL(
  '../../contracts/examples/valid/manifest__first_pass.json',
  import.meta.url,
);
const plain = JSON.parse(readFileSync(example, 'utf8')) as Manifest;
const manifest: Manifest = {
  ...plain,
  tokenizer: { tokenizer: 'model.onnx', config: 'model.onnx' },
};

interface Written {
  dtype: string;
  shape: number[];
  bytes: Uint8Array;
}

function floats(shape: number[], values: number[]): Written {
  return { dtype: 'F32', shape, bytes: new Uint8Array(Float32Array.from(values).buffer) };
}
function integers(shape: number[], values: number[]): Written {
  const data = BigInt64Array.from(values, BigInt);
  return { dtype: 'I64', shape, bytes: new Uint8Array(data.buffer) };
}
function letters(text: string): Written {
  return { dtype: 'U8', shape: [text.length], bytes: new TextEncoder().encode(text) };
}
const numbers = (count: number): number[] => Array.from({ length: count }, (_, at) => at / 7);

/** Three tokens of the example's model: 1 layer, 2 heads, 32 tokens in its vocabulary. */
function tensors(): Record<string, Written> {
  return {
    input_ids: integers([1, 3], [5, 31, 5]),
    piece_ids: integers([3], [0, 5, 31]),
    piece_ends: integers([3], [0, 2, 6]),
    layer_0_attn_probs: floats([1, 2, 3, 3], numbers(18)),
    logits: floats([1, 1, 32], numbers(32)),
    piece_bytes: letters('ab the'),
  };
}

function file(
  parts: Record<string, Written>,
  edit: (header: Record<string, unknown>) => void = () => undefined,
): Uint8Array<ArrayBuffer> {
  const header: Record<string, unknown> = { __metadata__: { about: 'a test' } };
  let end = 0;
  for (const [name, { dtype, shape, bytes }] of Object.entries(parts)) {
    header[name] = { dtype, shape, data_offsets: [end, (end += bytes.length)] };
  }
  edit(header);
  const text = new TextEncoder().encode(JSON.stringify(header));
  const whole = new Uint8Array(8 + text.length + end);
  new DataView(whole.buffer).setBigUint64(0, BigInt(text.length), true);
  whole.set(text, 8);
  let at = 8 + text.length;
  for (const { bytes } of Object.values(parts)) {
    whole.set(bytes, at);
    at += bytes.length;
  }
  return whole;
}

function refusal(bytes: Uint8Array<ArrayBuffer>, of: Manifest = manifest): string {
  try {
    readFirstPass(bytes, of);
  } catch (error) {
    if (error instanceof BundleError && error.data.kind === 'integrity') return error.data.got;
    throw error;
  }
  return 'taken';
}

test('gives what one run over the whole prompt gives', () => {
  const pass = readFirstPass(file(tensors()), manifest);
  expect(pass).toMatchObject({ prompt: 'After Friday comes', runtime: 'onnxruntime 1.31.0' });
  expect(pass?.variant.name).toBe('fp32');
  expect(pass?.result).toMatchObject({ ids: [5, 31, 5], start: 0 });
  expect(pass?.result.lastLogits).toEqual(Float32Array.from(numbers(32)));
  expect(pass?.result.tensors).toEqual([
    { name: 'layer_0_attn_probs', dims: [1, 2, 3, 3], data: Float32Array.from(numbers(18)) },
  ]);
  const text = pass?.pieces.map(({ id, bytes }) => [id, new TextDecoder().decode(bytes)]);
  expect(text).toEqual([
    [0, ''],
    [5, 'ab'],
    [31, ' the'],
  ]);
});

test('of a model without a tokenizer it has no pieces', () => {
  const { input_ids, layer_0_attn_probs, logits } = tensors();
  const parts = { input_ids, layer_0_attn_probs, logits } as Record<string, Written>;
  expect(readFirstPass(file(parts), plain)?.pieces).toEqual([]);
  expect(refusal(file(tensors()), plain)).toContain('piece_ids, which no run gives');
});

test.each<[string, Record<string, Written | undefined>]>([
  ['no logits', { logits: undefined }],
  ['no layer_0_attn_probs', { layer_0_attn_probs: undefined }],
  ['logits of [1,3,32]', { logits: floats([1, 3, 32], numbers(96)) }],
  ['logits of [1,1,33]', { logits: floats([1, 1, 33], numbers(33)) }],
  ['layer_0_attn_probs of [1,2,3,4]', { layer_0_attn_probs: floats([1, 2, 3, 4], numbers(24)) }],
  ['logits is not F32', { logits: integers([1, 1, 32], numbers(32).map(Math.round)) }],
  ['input_ids is not I64', { input_ids: floats([1, 3], [5, 31, 5]) }],
  ['logits holds NaN', { logits: floats([1, 1, 32], numbers(32).fill(NaN, 31)) }],
  ['holds NaN or infinity', { layer_0_attn_probs: floats([1, 2, 3, 3], [1 / 0, ...numbers(17)]) }],
  ['input_ids holds what is not in 0 … 31', { input_ids: integers([1, 3], [5, 32, 5]) }],
  ['input_ids holds what is not in 0 … 31', { input_ids: integers([1, 3], [5, -1, 5]) }],
  ['0 tokens', { input_ids: integers([1, 0], []) }],
  ['17 tokens', { input_ids: integers([1, 17], Array<number>(17).fill(5)) }],
  ['no bytes of token 31', { piece_ids: integers([3], [0, 5, 30]) }],
  ['piece_ends of [2]', { piece_ends: integers([2], [0, 2]) }],
  ['piece_ends holds what is not in', { piece_ends: integers([3], [0, 2, 99]) }],
  ['end before they begin', { piece_ends: integers([3], [0, 5, 2]) }],
  ['more, which no run gives', { more: floats([1], [1]) }],
])('is refused: %s', (said, changes) => {
  const parts = Object.entries({ ...tensors(), ...changes });
  const kept = parts.flatMap(([name, part]) => (part === undefined ? [] : [[name, part] as const]));
  expect(refusal(file(Object.fromEntries(kept)))).toContain(said);
});

describe('the container', () => {
  const place = (changes: object) => (header: Record<string, unknown>) => {
    header['logits'] = { ...(header['logits'] as object), ...changes };
  };

  test.each<[string, (header: Record<string, unknown>) => void]>([
    ['in no known way', place({ dtype: 'F64' })],
    ['in no known way', place({ dtype: 'toString' })],
    ['in no known way', place({ shape: [1, 1, -32] })],
    ['in no known way', place({ shape: 32 })],
    ['in no known way', place({ data_offsets: [0] })],
    ['in no known way', place({ data_offsets: [0, -1] })],
    ['in no known way', (header) => (header['logits'] = null)],
    ['logits lies from', place({ shape: [1, 1, 2 ** 40] })],
    ['logits lies from', place({ data_offsets: [10_000, 10_128] })],
    ['a tensor begins at', place({ data_offsets: [0, 128] })],
    ['bytes more', (header) => delete header['piece_bytes']],
    ['a tensor begins at', (header) => delete header['logits']],
  ])('is refused: %s', (said, edit) => {
    expect(refusal(file(tensors(), edit))).toContain(said);
  });

  test('that ends in its header is refused', () => {
    const whole = file(tensors());
    for (const length of [0, 7, 8, 20, 200])
      expect(() => readSafetensors(whole.slice(0, length))).toThrow(RangeError);
  });

  test('is taken or refused, whatever byte is another one', () => {
    const whole = file(tensors());
    for (let at = 0; at < whole.length; at++)
      for (const bit of [1, 16, 128]) {
        const changed = whole.slice();
        changed[at] = (changed[at] ?? 0) ^ bit;
        expect(refusal(changed)).toEqual(expect.any(String));
      }
  });
});
