// The tree of likeliest paths against every path of a small made-up language, and what the model expected at each token
// of a text against its logits taken one by one.
import { expect, test } from 'vitest';
import { mostRuns, pathTo, searchPaths } from '../../apps/web/src/analysis/path_search';
import { softmax } from '../../apps/web/src/analysis/probabilities';
import { uniformAt } from '../../apps/web/src/analysis/seeded_random';
import { alternativesOf } from '../../apps/web/src/inference/token_alternatives';

const VOCAB = 5;
const END = 4;

/** Logits behind a path: made up, and different for every path. */
function logitsAfter(path: readonly number[]): Float64Array {
  const seed = path.reduce((sum, token) => (sum * 31 + token + 1) % 65_521, 7);
  return Float64Array.from({ length: VOCAB }, (_, id) => 3 * uniformAt(seed, id));
}

/** Every path of at most this many tokens that ends or is that long, with its probability. */
function everyPath(depth: number, path: readonly number[] = [], joint = 1): [string, number][] {
  if (path.length === depth || path.at(-1) === END) return [[path.join(' '), joint]];
  const shares = softmax(logitsAfter(path));
  return Array.from(shares, (share, token) =>
    everyPath(depth, [...path, token], joint * share),
  ).flat();
}

test('with a width for all paths, the best are the likeliest of all, with their joint probabilities', async () => {
  const depth = 3;
  const all = everyPath(depth).sort((a, b) => b[1] - a[1]);
  const { nodes, best } = await searchPaths(
    logitsAfter([]),
    { depth, width: 200, isEnd: (token) => token === END },
    (path) => Promise.resolve(logitsAfter(path)),
  );
  expect(best).toHaveLength(all.length);
  best.forEach((index, at) => {
    expect(pathTo(nodes, index).join(' ')).toBe(all[at]?.[0]);
    expect(Math.exp(nodes[index]?.joint ?? NaN)).toBeCloseTo(all[at]?.[1] ?? NaN, 9);
  });
});

test('a narrow search keeps its width at each depth, in as many runs as it said, and never goes on behind an end', async () => {
  const size = { depth: 4, width: 2 };
  const asked: string[] = [];
  const { nodes, best } = await searchPaths(
    logitsAfter([]),
    { ...size, isEnd: (token) => token === END },
    (path) => {
      asked.push(path.join(' '));
      return Promise.resolve(logitsAfter(path));
    },
  );
  expect(asked.length).toBeLessThanOrEqual(mostRuns(size));
  expect(asked.some((path) => path.includes(String(END)))).toBe(false);
  for (let depth = 1; depth <= size.depth; depth++)
    expect(nodes.filter((node) => node.depth === depth && !node.ends).length).toBeLessThanOrEqual(
      size.width,
    );
  expect(best).toHaveLength(size.width);
  const joints = best.map((index) => nodes[index]?.joint ?? NaN);
  expect(joints).toEqual([...joints].sort((a, b) => b - a));
  for (const { parent, depth, joint, logProbability } of nodes) {
    expect(depth).toBe((nodes[parent]?.depth ?? 0) + 1);
    expect(joint).toBeCloseTo((nodes[parent]?.joint ?? 0) + logProbability, 12);
  }
});

test('every position of a text is read in as many runs as memory asks for, and alike', async () => {
  const ids = [0, 3, 1, 2, 2, 0, 1];
  const runs: number[][] = [];
  const read = (most: number) =>
    alternativesOf(
      { ids, top: 3 },
      { vocab: VOCAB },
      ({ texts: [text = []], logits }) => {
        runs.push([text.length, logits]);
        const rows = text.map((_, at) => [...logitsAfter(text.slice(0, at + 1))]).slice(-logits);
        const data = Float32Array.from(rows.flat());
        return Promise.resolve(
          new Map([['logits', { name: 'logits', dims: [1, logits, VOCAB], data }]]),
        );
      },
      most,
    );
  const whole = await read(1e6);
  expect(runs).toEqual([[6, 6]]);
  runs.length = 0;
  expect(await read(4 * VOCAB * 4)).toEqual(whole);
  expect(runs).toEqual([
    [4, 4],
    [6, 2],
  ]);
  for (let position = 1; position < ids.length; position++) {
    const shares = softmax(Float32Array.from(logitsAfter(ids.slice(0, position))));
    const order = [...shares.keys()].sort((a, b) => (shares[b] ?? 0) - (shares[a] ?? 0));
    const row = position - 1;
    const token = ids[position] ?? 0;
    expect(Math.exp(whole.logProbabilities[row] ?? NaN)).toBeCloseTo(shares[token] ?? NaN, 6);
    expect(whole.ranks[row]).toBe(order.indexOf(token));
    expect([...whole.topIds.slice(row * 3, row * 3 + 3)]).toEqual(order.slice(0, 3));
    const bits = shares.reduce((sum, share) => sum - share * Math.log2(share), 0);
    expect(whole.entropies[row]).toBeCloseTo(bits, 6);
  }
});
