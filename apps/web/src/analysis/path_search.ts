// The likeliest continuations of a text as a tree, by beam search as in generate() of transformers with a length penalty
// of 0: at each depth the paths of highest joint probability are continued; those that ended are set aside, and compared
// with the others at last. Whoever calls it runs the model.
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
  /** Paths that are continued at each depth, and that are returned. */
  readonly width: number;
  readonly isEnd: (token: number) => boolean;
}

export type Logits = Float32Array | Float64Array;

/** The largest search that the page makes. */
export const LARGEST_SEARCH = { depth: 12, width: 8 } as const;

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
  const ended: number[] = [];
  let open: number[] = [];
  for (let at = 1; at <= depth; at++) {
    if (at > 1 && open.length === 0) break;
    const candidates: PathNode[] = [];
    for (const parent of at === 1 ? [-1] : open) {
      const logits = parent < 0 ? first : await expand(pathTo(nodes, parent));
      candidates.push(...likeliest(logits, nodes[parent] ?? null, parent, { width, isEnd }));
    }
    // Equal paths keep their order: of the better parent first, and of the lower token.
    candidates.sort((a, b) => b.joint - a.joint);
    open = [];
    candidates.forEach((candidate, rank) => {
      // A path that ended takes no place of one that goes on, but counts only among the best.
      if (candidate.ends ? rank >= width : open.length >= width) return;
      (candidate.ends ? ended : open).push(nodes.push(candidate) - 1);
    });
  }
  const jointOf = (index: number): number => nodes[index]?.joint ?? -Infinity;
  const best = [...ended, ...open].sort((a, b) => jointOf(b) - jointOf(a)).slice(0, width);
  return { nodes, best };
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
  // Twice as many: some may end, and the others go on.
  return largest(logits, 2 * width).map((token) => {
    const logProbability = (logits[token] ?? -Infinity) - total;
    return {
      ...{ token, parent, logProbability, ends: isEnd(token) },
      depth: (before?.depth ?? 0) + 1,
      joint: (before?.joint ?? 0) + logProbability,
    };
  });
}
