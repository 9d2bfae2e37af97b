// Aligns the tokens of two texts: the fewest tokens that must be exchanged, put in or left out to make one of the other.

/** A column of the alignment: positions in both texts; null where that text has a gap. Never null in both. */
export interface AlignedPair {
  readonly a: number | null;
  readonly b: number | null;
  /** True where both have the same token. */
  readonly isSame: boolean;
}

/** Positions that face each other. */
export interface FacingPair {
  readonly a: number;
  readonly b: number;
}

/** The table of steps has a byte for each pair of tokens; longer stretches between equal ends are left unaligned. */
const MOST_CELLS = 2 ** 26;

const EXCHANGE = 0;
const LEAVE_OUT = 1;
const PUT_IN = 2;

/**
 * Return the columns of an alignment of least edit distance, in order; each position of each text stands in one of them.
 * `a` and `b` name each token by something that is equal for equal tokens alone. Of alignments of the same distance, it
 * is one in which tokens face each other rather than gaps.
 */
export function alignTokens<Name extends string | number>(
  a: readonly Name[],
  b: readonly Name[],
): AlignedPair[] {
  const shorter = Math.min(a.length, b.length);
  let start = 0;
  while (start < shorter && a[start] === b[start]) start++;
  let ending = 0;
  while (ending < shorter - start && a[a.length - 1 - ending] === b[b.length - 1 - ending])
    ending++;
  const same = (count: number, fromA: number, fromB: number): AlignedPair[] =>
    Array.from({ length: count }, (_, at) => ({ a: fromA + at, b: fromB + at, isSame: true }));
  const middle = between(a.slice(start, a.length - ending), b.slice(start, b.length - ending)).map(
    (pair) => ({
      a: pair.a === null ? null : pair.a + start,
      b: pair.b === null ? null : pair.b + start,
      isSame: pair.isSame,
    }),
  );
  return [...same(start, 0, 0), ...middle, ...same(ending, a.length - ending, b.length - ending)];
}

/** List the positions that face each other, equal or not. */
export function facing(aligned: readonly AlignedPair[]): FacingPair[] {
  return aligned.flatMap(({ a, b }) => (a === null || b === null ? [] : [{ a, b }]));
}

function between<Name>(a: readonly Name[], b: readonly Name[]): AlignedPair[] {
  if ((a.length + 1) * (b.length + 1) > MOST_CELLS) return unaligned(a.length, b.length);
  const width = b.length + 1;
  const steps = stepTable(a, b);
  const pairs: AlignedPair[] = [];
  let [i, j] = [a.length, b.length];
  while (i > 0 || j > 0) {
    const step = steps[i * width + j];
    if (step === EXCHANGE) pairs.push({ a: --i, b: --j, isSame: a[i] === b[j] });
    else if (step === LEAVE_OUT) pairs.push({ a: --i, b: null, isSame: false });
    else pairs.push({ a: null, b: --j, isSame: false });
  }
  return pairs.reverse();
}

/** Return the last step of a shortest way to each pair of prefixes, (a + 1) × (b + 1), row by row. */
function stepTable<Name>(a: readonly Name[], b: readonly Name[]): Uint8Array {
  const width = b.length + 1;
  const steps = new Uint8Array((a.length + 1) * width).fill(PUT_IN, 0, width);
  let above = Uint32Array.from({ length: width }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = new Uint32Array(width);
    row[0] = i;
    steps[i * width] = LEAVE_OUT;
    for (let j = 1; j < width; j++) {
      const exchanged = (above[j - 1] ?? 0) + Number(a[i - 1] !== b[j - 1]);
      const without = (above[j] ?? 0) + 1;
      const more = (row[j - 1] ?? 0) + 1;
      const least = Math.min(exchanged, without, more);
      row[j] = least;
      steps[i * width + j] =
        least === exchanged ? EXCHANGE : least === without ? LEAVE_OUT : PUT_IN;
    }
    above = row;
  }
  return steps;
}

function unaligned(a: number, b: number): AlignedPair[] {
  return [
    ...Array.from({ length: a }, (_, at) => ({ a: at, b: null, isSame: false })),
    ...Array.from({ length: b }, (_, at) => ({ a: null, b: at, isSame: false })),
  ];
}
