// Alignment of the tokens of two texts: by properties of every alignment, and against distances found in another way.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { alignTokens, facing, type AlignedPair } from '../../apps/web/src/analysis/align_tokens';
import { vectorDifferences } from '../../apps/web/src/analysis/compare_streams';
import { canReach } from '../../apps/web/src/analysis/patch_reach';

const texts = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 9 });

/** Short enough for the definition of the distance. */
const short = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 6 });

const costOf = (pairs: readonly AlignedPair[]): number =>
  pairs.filter(({ isSame }) => !isSame).length;

/** The edit distance by its definition, one token of each text at a time. */
function distance(a: readonly number[], b: readonly number[]): number {
  const [first, ...others] = a;
  const [other, ...more] = b;
  if (first === undefined) return b.length;
  if (other === undefined) return a.length;
  if (first === other) return distance(others, more);
  return 1 + Math.min(distance(others, more), distance(others, b), distance(a, more));
}

describe('an alignment', () => {
  test('has each position of each text once, in order, and never two gaps', () => {
    fc.assert(
      fc.property(texts, texts, (a, b) => {
        const pairs = alignTokens(a, b);
        const positions = (side: 'a' | 'b'): (number | null)[] =>
          pairs.map((pair) => pair[side]).filter((at) => at !== null);
        expect(positions('a')).toEqual(a.map((_, at) => at));
        expect(positions('b')).toEqual(b.map((_, at) => at));
        for (const pair of pairs) expect(pair.a !== null || pair.b !== null).toBe(true);
      }),
    );
  });

  test('says of equal tokens that they are, and of no others', () => {
    fc.assert(
      fc.property(texts, texts, (a, b) => {
        for (const pair of alignTokens(a, b)) {
          expect(pair.isSame).toBe(pair.a !== null && pair.b !== null && a[pair.a] === b[pair.b]);
        }
      }),
    );
  });

  test('needs no more changes than the edit distance', () => {
    fc.assert(
      fc.property(short, short, (a, b) => {
        expect(costOf(alignTokens(a, b))).toBe(distance(a, b));
      }),
    );
  });

  test('of a text and itself has no change; of exchanged texts, as many', () => {
    fc.assert(
      fc.property(texts, texts, (a, b) => {
        expect(costOf(alignTokens(a, a))).toBe(0);
        expect(costOf(alignTokens(a, b))).toBe(costOf(alignTokens(b, a)));
      }),
    );
  });

  test('lets tokens face each other where that costs no more', () => {
    // As two names exchanged in a sentence of the same length.
    const pairs = alignTokens(['When', 'A', 'and', 'B', 'go'], ['When', 'B', 'and', 'A', 'go']);
    expect(facing(pairs)).toEqual([0, 1, 2, 3, 4].map((at) => ({ a: at, b: at })));
    expect(pairs.map(({ isSame }) => isSame)).toEqual([true, false, true, false, true]);
  });

  test('puts a gap where a token was put in', () => {
    expect(alignTokens([1, 2, 3], [1, 9, 2, 3])).toEqual([
      { a: 0, b: 0, isSame: true },
      { a: null, b: 1, isSame: false },
      { a: 1, b: 2, isSame: true },
      { a: 2, b: 3, isSame: true },
    ]);
    expect(facing(alignTokens([1, 2, 3], [1, 9, 2, 3]))).toHaveLength(3);
  });

  test('of long texts, of which all but a stretch is equal, is made without a table of them all', () => {
    const long = Array.from({ length: 20_000 }, (_, at) => at);
    const other = [...long.slice(0, 9_000), -1, -2, ...long.slice(9_001)];
    expect(costOf(alignTokens(long, other))).toBe(2);
  });
});

describe('vectors that face each other', () => {
  test('differ by a length and a cosine, as worked out by hand', () => {
    const a = [
      [3, 4],
      [0, 0],
    ];
    const b = [
      [4, 3],
      [1, 0],
      [-3, -4],
    ];
    const { norms, cosines } = vectorDifferences(
      (at) => a[at] ?? [],
      (at) => b[at] ?? [],
      [
        { a: 0, b: 0 },
        { a: 0, b: 2 },
        { a: 1, b: 1 },
      ],
    );
    expect(Array.from(norms)).toEqual([Math.SQRT2, 10, 1]);
    expect(Array.from(cosines)).toEqual([24 / 25, -1, 0]);
  });

  test('of different widths are refused', () => {
    expect(() =>
      vectorDifferences(
        () => [1],
        () => [1, 2],
        [{ a: 0, b: 0 }],
      ),
    ).toThrow('the vectors differ in length; got 2; expected 1');
  });
});

test('a change of the stream reaches itself and what later layers read of it', () => {
  const reached = [0, 1, 2].map((layer) =>
    [0, 1, 2].map((position) => canReach({ layer: 1, position: 1 }, { layer, position })),
  );
  expect(reached).toEqual([
    [false, false, false],
    [false, true, false],
    [false, true, true],
  ]);
});
