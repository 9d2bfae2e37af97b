// The likeliest continuations of a text as a tree, by beam search: at each depth the paths of highest joint probability
// are kept and continued. A path that ended stays among them as it is. Whoever calls it runs the model.
import { largest, logSumOfExp } from './probabilities';

export interface PathNode {
  readonly token: number;
  /** Index of the node before it; -1 for the first tokens of paths. */
  readonly parent: number;
  /** Number of tokens from the text to this one: 1 for the first. */
  readonly depth: number;
  /** Natural logarithm of the token's probability behind its parent. */
  readonly logProbability: number;
  /** Natural logarithm of the probability of the whole path up to this token, given the text. */
  readonly joint: number;
  /** True where the token ends the text. */
  readonly ends: boolean;
}

export interface PathTree {
  /** By depth, and within a depth by joint probability, highest first. */
  readonly nodes: readonly PathNode[];
  /** Indices of the paths that were left at the end, the likeliest first. */
  readonly best: readonly number[];
}

export interface PathSearch {
  /** Tokens that a path has at most. */
  readonly depth: number;
  /** Paths that are kept at each depth. */
  readonly width: number;
  readonly isEnd: (token: number) => boolean;
}

export type Logits = Float32Array | Float64Array;

/** Return the number of runs that a search makes at most: the first tokens are read from the text's own logits. */
export function mostRuns({ depth, width }: Pick<PathSearch, 'depth' | 'width'>): number {
  return width * Math.max(0, depth - 1);
}

/** Search. `expand` returns the logits behind a path; `first` are those behind the text itself. */
export async function searchPaths(
  first: Logits,
  { depth, width, isEnd }: PathSearch,
  expand: (path: readonly number[]) => Promise<Logits>,
): Promise<PathTree> {
  const nodes: PathNode[] = [];
  let kept: number[] = [];
  for (let at = 1; at <= depth; at++) {
    const candidates: PathNode[] = [];
    const open = kept.filter((index) => nodes[index]?.ends !== true);
    if (at > 1 && open.length === 0) break;
    for (const parent of at === 1 ? [-1] : open) {
      const logits = parent < 0 ? first : await expand(pathTo(nodes, parent));
      candidates.push(...likeliest(logits, nodes[parent] ?? null, parent, { width, isEnd }));
    }
    const ended = kept.filter((index) => nodes[index]?.ends === true);
    kept = keepBest(nodes, ended, candidates, width);
  }
  return { nodes, best: kept };
}

/** Return the tokens of a path, the first one first. */
export function pathTo(nodes: readonly PathNode[], index: number): number[] {
  const path: number[] = [];
  for (let node = nodes[index]; node !== undefined; node = nodes[node.parent])
    path.unshift(node.token);
  return path;
}

function likeliest(
  logits: Logits,
  before: PathNode | null,
  parent: number,
  { width, isEnd }: Pick<PathSearch, 'width' | 'isEnd'>,
): PathNode[] {
  const total = logSumOfExp(logits);
  return largest(logits, width).map((token) => {
    const logProbability = (logits[token] ?? -Infinity) - total;
    return {
      ...{ token, parent, logProbability, ends: isEnd(token) },
      depth: (before?.depth ?? 0) + 1,
      joint: (before?.joint ?? 0) + logProbability,
    };
  });
}

/** Add the best candidates to the nodes, and return the best paths, those that ended before among them. */
function keepBest(
  nodes: PathNode[],
  ended: readonly number[],
  candidates: readonly PathNode[],
  width: number,
): number[] {
  const rivals = [
    ...ended.map((index) => ({ index, node: nodes[index] })),
    ...candidates.map((node) => ({ index: -1, node })),
  ];
  // Equal paths keep their order: of the better parent first, and of the lower token.
  rivals.sort((a, b) => (b.node?.joint ?? -Infinity) - (a.node?.joint ?? -Infinity));
  return rivals.slice(0, width).flatMap(({ index, node }) => {
    if (index >= 0) return [index];
    return node === undefined ? [] : [nodes.push(node) - 1];
  });
}
