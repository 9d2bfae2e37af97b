// The table of edits that Python and the page share (tests/fixtures/edits): what each does to tensors of its joints, and
// what both refuse. tests/python/test_edit_table.py reads the same files.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { activationEntry, elementCount } from '../../apps/web/src/contract/activation_table';
import type { ActivationKind, ModelShape } from '../../apps/web/src/contract/generated';
import { indices } from '../../apps/web/src/inference/broadcast';
import { editsFromJson } from '../../apps/web/src/inference/edit_json';
import { EditError, type Edit } from '../../apps/web/src/inference/edits';
import type { ClosingTensor, FedSpan, JointEdit } from '../../apps/web/src/inference/joint_edit';
import { applicable, closingsNeeded, jointEdits } from '../../apps/web/src/inference/joint_edits';

interface Text {
  readonly tokens: number;
  readonly past: number;
  readonly goes_on: boolean;
  /** Token ids of each text of a batch. */
  readonly lengths?: readonly number[];
}

interface Joint {
  readonly joint: ActivationKind;
  readonly layer: number;
  readonly dims: readonly number[];
  readonly input: readonly number[];
  /** null for values in the padding. */
  readonly edited: readonly (number | null)[];
}

interface Case {
  readonly name: string;
  readonly edits: readonly unknown[];
  readonly text: Text;
  readonly in_pieces: boolean;
  readonly joints: readonly Joint[];
}

interface Refused extends Pick<Case, 'name' | 'edits' | 'text'> {
  readonly field: string;
  readonly model?: Partial<ModelShape>;
}

function read(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../fixtures/edits/${name}`, import.meta.url), 'utf8'));
}

const { model, cases } = read('cases.json') as { model: ModelShape; cases: readonly Case[] };
const { cases: refused } = read('refused.json') as { cases: readonly Refused[] };

const editsOf = ({ edits }: Pick<Case, 'edits'>): Edit[] =>
  editsFromJson({ edits_version: '1.0', edits });
const spanOf = ({ tokens, past, goes_on, lengths }: Text): FedSpan => ({
  start: past,
  end: tokens,
  goesOn: goes_on,
  ...(lengths && { lengths }),
});

type Numbers = readonly number[];

const dot = (a: Numbers, b: Numbers): number =>
  a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0);
const plus = (a: Numbers, b: Numbers, times: number): number[] =>
  a.map((value, at) => value + times * (b[at] ?? 0));

/** Return a joint's tensor behind a closing, row by row, by the closing's meaning in the contract. */
function closed(value: Numbers, dims: Numbers, { closing, tensors }: JointEdit): number[] {
  const width = dims.at(-1) ?? 1;
  const rows = (name: string): Numbers[] => {
    const tensor = tensors[name] ?? { dims: [], data: new Float32Array() };
    expect(tensor.dims).toHaveLength(dims.length);
    for (const [axis, size] of tensor.dims.entries()) expect([1, dims[axis]]).toContain(size);
    const spread = Array.from(indices(tensor.dims, dims), (at) => tensor.data[at] ?? NaN);
    return chunks(spread, width);
  };
  const given = Object.fromEntries(Object.keys(tensors).map((name) => [name, rows(name)]));
  const at = (name: string, row: number): Numbers => given[name]?.[row] ?? [];
  const all = chunks(value, width);
  // Rows of all heads of a token; without heads, each row is a token's.
  const [heads, tokens] = dims.length === 4 ? [dims[1] ?? 1, dims[2] ?? 1] : [1, dims[1] ?? 1];
  const sumOverHeads = (row: number): number => {
    const first = Math.floor(row / (heads * tokens)) * heads * tokens + (row % tokens);
    const rowsOfToken = Array.from({ length: heads }, (_, head) => first + head * tokens);
    return rowsOfToken.reduce((sum, each) => sum + dot(all[each] ?? [], at('encoder', each)), 0);
  };
  return all.flatMap((row, index) => {
    const of = (name: string): Numbers => at(name, index);
    switch (closing) {
      case 'scale':
        return row.map((x, column) => x * (of('scale')[column] ?? NaN));
      case 'add':
        return plus(row, of('add'), 1);
      case 'replace':
        return row.map((x, column) =>
          of('mask')[column] === 1 ? (of('value')[column] ?? NaN) : x,
        );
      case 'project-out':
        return plus(row, of('direction'), -(of('amount')[0] ?? NaN) * dot(row, of('direction')));
      case 'cap':
        return plus(
          row,
          of('direction'),
          -Math.max(dot(row, of('direction')) - (of('limit')[0] ?? NaN), 0),
        );
      case 'swap': {
        const normal = plus(of('first'), of('second'), -1);
        const along = dot(row, normal) / dot(normal, normal);
        return plus(row, normal, -2 * (of('amount')[0] ?? NaN) * along);
      }
      case 'clamp': {
        const number = (name: string): number => of(name)[0] ?? NaN;
        const inner = sumOverHeads(index) + number('bias');
        const feature = inner > number('threshold') ? inner : 0;
        return plus(row, of('direction'), number('amount') * (number('value') - feature));
      }
      case 'identity':
        return row;
    }
  });
}

function chunks(values: Numbers, width: number): Numbers[] {
  return Array.from({ length: values.length / width }, (_, row) =>
    values.slice(row * width, (row + 1) * width),
  );
}

/** Return the part of a joint's tensor that a run feeds. */
function cut(
  { joint, dims }: Joint,
  values: readonly (number | null)[],
  first: number,
  { start, end }: FedSpan,
): { dims: number[]; values: number[] } {
  const ranges = activationEntry(joint).shape.map((name, axis) => {
    if (name === 'sequence_length') return { start: start - first, end: end - first };
    return { start: 0, end: name === 'total_sequence_length' ? end : (dims[axis] ?? 1) };
  });
  const kept = values.filter((_, at) =>
    ranges.every((range, axis) => {
      const index = Math.floor(at / elementCount(dims.slice(axis + 1))) % (dims[axis] ?? 1);
      return index >= range.start && index < range.end;
    }),
  );
  // Values in the padding are undefined.
  const numbers = kept.map((value) => value ?? NaN);
  return { dims: ranges.map((range) => range.end - range.start), values: numbers };
}

function check({ joints, text }: Case, fed: FedSpan, edits: readonly JointEdit[]): void {
  for (const each of joints) {
    const given = cut(each, each.input, text.past, fed);
    const want = cut(each, each.edited, text.past, fed).values;
    const got = edits
      .filter(({ joint, layer }) => joint === each.joint && layer === each.layer)
      .reduce<Numbers>((values, edit) => closed(values, given.dims, edit), given.values);
    expect(got).toHaveLength(want.length);
    for (const [at, value] of want.entries()) {
      if (Number.isNaN(value)) continue;
      const error = Math.abs((got[at] ?? NaN) - value);
      expect(error, `${each.joint} at ${at}`).toBeLessThan(1e-5 * Math.max(1, Math.abs(value)));
    }
  }
}

describe('the table', () => {
  test.each(cases)('$name', (each) => {
    const fed = spanOf(each.text);
    check(each, fed, jointEdits(editsOf(each), model, fed));
  });

  test.each(cases.filter(({ in_pieces }) => in_pieces))('$name, in pieces', (each) => {
    const { tokens } = each.text;
    for (let middle = 1; middle < tokens; middle++)
      for (const [start, end] of [
        [0, middle],
        [middle, tokens],
      ] as const) {
        const fed = { start, end, goesOn: true };
        check(each, fed, jointEdits(editsOf(each), model, fed));
      }
  });

  test('a session is given the closings that a run needs', () => {
    for (const each of cases) {
      const edits = editsOf(each);
      const placed = jointEdits(edits, model, spanOf(each.text));
      const places = placed.map(({ joint, layer, closing }) => ({ joint, layer, closing }));
      expect(closingsNeeded(edits)).toEqual(places);
    }
  });

  test('alike ones in a row are one closing', () => {
    const count = (name: string): number => {
      const each = cases.find((one) => one.name === name);
      if (each === undefined) throw new Error(`no case ${name}`);
      return jointEdits(editsOf(each), model, spanOf(each.text)).length;
    };
    expect(count('alike ones become one')).toBe(1);
    expect(count('knock-outs one after another')).toBe(1);
    expect(count('in their order')).toBe(3);
    expect(count('two joints in turns')).toBe(2);
    expect(count('nothing changed')).toBe(0);
  });
});

test.each(refused)('refused: $name', ({ edits, text, field, model: more }) => {
  const shape = { ...model, ...more };
  let error: unknown;
  try {
    jointEdits(editsFromJson({ edits_version: '1.0', edits }), shape, spanOf(text));
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(EditError);
  expect(error).toMatchObject({ field });
  const { message } = error as EditError;
  expect(message).toContain(field);
  expect(message).not.toContain('\n');
});

test('what a model has no place for is left out before there is a text', () => {
  const fine: Edit = { edit: 'scale', joint: 'attn_z', layer: 0, head: 2 };
  const misfits: Edit[] = [
    { ...fine, head: 3 },
    { ...fine, joint: 'mlp_act', position: 12 },
    { edit: 'add', joint: 'resid_post', layer: 1, vector: [1, 2] },
    { edit: 'scale', joint: 'attn_z', layer: 0, factor: NaN },
    { edit: 'add', joint: 'resid_post', layer: 0, vector: Float32Array.of(1, 2, Infinity, 0) },
  ];
  expect(applicable([fine, ...misfits], model)).toEqual([fine]);
});

test('typed arrays are numbers too', () => {
  const vector = [0.5, -1, 0.25, 2];
  const place = { edit: 'add', joint: 'resid_post', layer: 0 } as const;
  const fed = { start: 0, end: 3 };
  const tensorOf = (edit: Edit): ClosingTensor | undefined =>
    jointEdits([edit], model, fed)[0]?.tensors['add'];
  expect(tensorOf({ ...place, vector: Float32Array.from(vector) })).toEqual(
    tensorOf({ ...place, vector }),
  );
});
