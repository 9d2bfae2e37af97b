// Node names read out of serialized graphs, against messages written by hand.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nodesOf } from '../../apps/web/src/inference/graph_nodes';

const text = (value: string): number[] => [...new TextEncoder().encode(value)];

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
}

/** A field that holds a message, a string or bytes. */
function field(number: number, content: number[]): number[] {
  return [...varint(number * 8 + 2), ...varint(content.length), ...content];
}

interface Node {
  name: string;
  operator: string;
}

/** A ModelProto with an ir_version, and nodes with an input, an output and an attribute beside the names. */
function model(nodes: Node[]): number[] {
  const graph = nodes.flatMap(({ name, operator }) =>
    field(1, [
      ...field(1, text('in')),
      ...field(2, text('Sin')),
      ...field(3, text(name)),
      ...field(4, text(operator)),
      // AttributeProto: a float (fixed32), an integer (varint).
      ...field(5, [2 * 8 + 5, 0, 0, 128, 63, 3 * 8, ...varint(300)]),
    ]),
  );
  return [8, 10, ...field(7, [...graph, ...field(2, text('a graph'))])];
}

const node = fc.record({
  name: fc.string({ maxLength: 200 }),
  operator: fc.constantFrom('Sin', 'Cos', 'MatMul', 'SinCos', 'sin'),
});

test('the named nodes of the operators asked for are found, in every appended part', () => {
  fc.assert(
    fc.property(fc.array(node), fc.array(node), (trunk, tap) => {
      const bytes = new Uint8Array([...model(trunk), ...model(tap)]);
      expect(nodesOf(bytes, new Set(['Sin', 'Cos']))).toEqual(
        [...trunk, ...tap]
          .filter(({ name, operator }) => name !== '' && ['Sin', 'Cos'].includes(operator))
          .map(({ name }) => name),
      );
    }),
  );
});

test('a message that was cut off is refused', () => {
  const whole = model([{ name: 'a', operator: 'Sin' }]);
  expect(() => nodesOf(new Uint8Array(whole.slice(0, -3)), new Set(['Sin']))).toThrow(RangeError);
});
