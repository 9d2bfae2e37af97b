// The page's reader of ONNX, against what onnx's own reader in Python found, and against bytes of every other kind.
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BundleError } from '../../apps/web/src/bundle/bundle_error';
import { readOnnxModel } from '../../apps/web/src/bundle/onnx/onnx_model';
import {
  fields,
  writeField,
  writeNumber,
  writeText,
} from '../../apps/web/src/contract/wire_format';
import { examples } from './thorough';

interface Expected {
  readonly gzip: string;
  readonly opset: number;
  readonly producer: string;
  readonly metadata: Record<string, string>;
  readonly inputs: string[];
  readonly outputs: string[];
  readonly tensors: string[];
  readonly operators: string[];
  readonly external: Record<string, number>;
  readonly parameters: number;
}

const { graphs } = JSON.parse(
  readFileSync(new URL('../fixtures/bare_graphs.json', import.meta.url), 'utf8'),
) as { graphs: Record<string, Expected> };

function bytesOf({ gzip }: Expected): Uint8Array<ArrayBuffer> {
  return new Uint8Array(gunzipSync(Buffer.from(gzip, 'base64')));
}

test.each(Object.entries(graphs))('%s reads as onnx reads it', (name, expected) => {
  const model = readOnnxModel(bytesOf(expected), name);
  const external: Record<string, number> = {};
  for (const { location, offset, bytes } of model.external) {
    external[location] = Math.max(external[location] ?? 0, offset + bytes);
  }
  expect({
    opset: model.opset,
    producer: model.producer,
    metadata: Object.fromEntries(model.metadata),
    inputs: model.inputs,
    outputs: model.outputs,
    tensors: [...model.tensors].sort(),
    operators: [...model.operators].sort(),
    external,
    parameters: model.parameters,
  }).toEqual({ ...expected, gzip: undefined });
});

/** Reads, and answers with the error's kind; whatever else is thrown fails the test. */
function outcome(bytes: Uint8Array<ArrayBuffer>): string {
  try {
    readOnnxModel(bytes, 'model.onnx');
    return 'read';
  } catch (error) {
    if (error instanceof BundleError) return error.kind;
    throw error;
  }
}

describe('hostile bytes end in the one typed error, or are read', () => {
  const [whole = new Uint8Array()] = Object.values(graphs).map(bytesOf);

  test('cut off anywhere', () => {
    fc.assert(
      fc.property(fc.nat(whole.length - 1), (length) => {
        const result = outcome(whole.slice(0, length));
        expect(['read', 'not-a-model']).toContain(result);
      }),
      { numRuns: examples(1000) },
    );
    expect(outcome(whole.slice(0, whole.length - 1))).toBe('not-a-model');
    expect(outcome(new Uint8Array())).toBe('not-a-model');
  });

  test('changed anywhere', () => {
    const change = fc.tuple(fc.nat(whole.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), (changes) => {
        const bytes = whole.slice();
        for (const [at, value] of changes) bytes[at] = value;
        expect(['read', 'not-a-model']).toContain(outcome(bytes));
      }),
      { numRuns: examples(2000) },
    );
  });

  test('anything at all', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(['read', 'not-a-model']).toContain(outcome(new Uint8Array(bytes)));
      }),
      { numRuns: examples(3000) },
    );
  });

  const huge = [255, 255, 255, 255, 255, 255, 255, 255, 255, 1];
  test.each([
    ['a length beyond the message', [58, 255, 255, 255, 255, 15]],
    ['a length beyond 2^53', [58, ...huge]],
    ['a number without end', [8, ...new Array<number>(11).fill(255)]],
    ['the field number 0', [2, 0]],
    ['groups', [11, 12]],
    ['an opset beyond 2^53', [...writeField(8, [16, ...huge]), ...writeField(7, [])]],
    ['a name that is not UTF-8', [...writeField(2, [255]), ...writeField(7, [])]],
    ['a name over its limit', [...writeText(2, 'x'.repeat(1025)), ...writeField(7, [])]],
    ['weights of no known type', tensor([...writeNumber(1, 4), ...writeNumber(2, 99)])],
    ['a negative extent', tensor([8, ...huge])],
    [
      'extents that multiply beyond any file',
      tensor([1, 2, 3].flatMap(() => writeNumber(1, 2 ** 31))),
    ],
    ['an offset that is no number', tensor([...writeNumber(2, 1), ...entry('offset', '-1')])],
    ['a length with 16 digits', tensor([...writeNumber(2, 1), ...entry('length', '9'.repeat(16))])],
    ['packed extents cut off', tensor(writeField(1, [255]))],
    ['hundreds of extents', tensor(writeField(1, new Array<number>(100).fill(1)))],
    ['no graph', writeText(2, 'oriel')],
  ])('%s', (_what, bytes) => {
    expect(outcome(new Uint8Array(bytes))).toBe('not-a-model');
  });

  test('text is named as such', () => {
    const bytes = new TextEncoder().encode('version https://git-lfs.github.com/spec/v1\n');
    expect(() => readOnnxModel(bytes, 'model.onnx')).toThrow(/"got":"text"/);
  });
});

/** A model with one initializer outside the file. */
function tensor(content: number[]): number[] {
  return writeField(7, writeField(5, [...content, ...writeNumber(14, 1)]));
}

function entry(key: string, value: string): number[] {
  return writeField(13, [...writeText(1, key), ...writeText(2, value)]);
}

test('what is written is read back', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 29 - 1 }), fc.maxSafeNat(), (number, value) => {
      const bytes = new Uint8Array(writeNumber(number, value));
      expect([...fields(bytes)]).toEqual([
        { number, wire: 0, bytes: null, value, start: 0, end: bytes.length },
      ]);
    }),
  );
});
