// Where the tokens of a tree of paths stand, how the arrow keys walk it, and what a saved table and picture say of it.
import { expect, test } from 'vitest';
import { pathTo, type PathNode } from '../../apps/web/src/analysis/path_search';
import { layOut, nextInTree } from '../../apps/web/src/views/paths/tree_layout';
import { thicknessOf, treePicture } from '../../apps/web/src/views/paths/tree_picture';

function node(token: number, parent: number, depth: number, joint: number): PathNode {
  return { token, parent, depth, joint, logProbability: -0.5, ends: false };
}

/** Two first tokens; the first goes on in two ways, of which one goes on again. */
const nodes = [
  ...[node(10, -1, 1, -1), node(20, -1, 1, -2)],
  ...[node(11, 0, 2, -1.5), node(12, 0, 2, -2.5)],
  ...[node(13, 2, 3, -2)],
];
const layout = layOut(nodes, [4]);
const tokens = layout.nodes.map(({ token }) => token);

test('a parent stands before what follows it, in the middle, and each end has a row', () => {
  expect(tokens).toEqual([10, 11, 13, 12, 20]);
  expect(layout.rows).toBe(3);
  expect(layout.columns).toBe(3);
  expect(layout.nodes.map(({ row }) => row)).toEqual([0.5, 0, 0, 1, 2]);
  expect(layout.nodes.map(({ column }) => column)).toEqual([0, 1, 2, 1, 0]);
  expect(layout.nodes.map(({ place, siblings }) => [place, siblings])).toEqual([
    ...[
      [1, 2],
      [1, 2],
      [1, 1],
      [2, 2],
    ],
    [2, 2],
  ]);
  expect(layout.nodes.map(({ isKept }) => isKept)).toEqual([true, true, true, false, false]);
  expect(pathTo(nodes, 4)).toEqual([10, 11, 13]);
});

test('arrow keys go to the first child, the parent, and through all in order', () => {
  const walk = (...keys: readonly string[]): number | undefined =>
    tokens[keys.reduce((at, key) => nextInTree(key, at, layout) ?? NaN, 0)];
  expect(walk('ArrowRight', 'ArrowRight')).toBe(13);
  expect(walk('ArrowRight', 'ArrowRight', 'ArrowRight')).toBe(13);
  expect(walk('End')).toBe(20);
  expect(walk('End', 'ArrowLeft')).toBe(20);
  expect(walk('ArrowRight', 'ArrowRight', 'ArrowLeft')).toBe(11);
  expect(walk('ArrowDown', 'ArrowDown', 'ArrowDown')).toBe(12);
  expect(walk('ArrowUp')).toBe(10);
  expect(walk('End', 'Home')).toBe(10);
  expect(nextInTree('a', 0, layout)).toBeNull();
});

test('a picture writes every token as text, and lines of paths that are likelier are thicker', () => {
  const svg = treePicture({
    ...{ title: 'T', caption: ['a < b'], layout, theme: 'light' },
    labelOf: (id) => `<${id}>`,
  });
  expect(svg.match(/<path /g)).toHaveLength(5);
  for (const token of tokens) expect(svg).toContain(`&lt;${token}&gt;`);
  expect(svg).toContain('a &lt; b');
  const [first, , , last] = layout.nodes.map(thicknessOf);
  expect(first).toBeGreaterThan(last ?? NaN);
});
