// Places the tokens of a tree of paths: a column for each depth, a row for each path's end, a parent in the middle of
// what follows it; and the order in which the keyboard goes through them. No DOM.
import { pathTo, type PathNode } from '../../analysis/path_search';

export interface PlacedNode extends PathNode {
  readonly index: number;
  /** 0 for the first tokens of paths. */
  readonly column: number;
  /** Rows from the top, a half between two. */
  readonly row: number;
  /** Indices of the tokens behind it, the likeliest path first. */
  readonly children: readonly number[];
  /** 1 for the likeliest of its siblings. */
  readonly place: number;
  /** Number of its siblings, itself among them. */
  readonly siblings: number;
  /** True where a path that was kept to the end goes through it. */
  readonly isKept: boolean;
}

export interface TreeLayout {
  /** A parent before its children, which follow each other, the likeliest path first. */
  readonly nodes: readonly PlacedNode[];
  readonly rows: number;
  readonly columns: number;
}

export function layOut(nodes: readonly PathNode[], best: readonly number[]): TreeLayout {
  const children = new Map<number, number[]>();
  nodes.forEach(({ parent }, index) => {
    const others = children.get(parent) ?? [];
    others.push(index);
    children.set(parent, others);
  });
  const kept = new Set<number>();
  for (const end of best) for (let at = end; at >= 0; at = nodes[at]?.parent ?? -1) kept.add(at);
  const placed: PlacedNode[] = [];
  let rows = 0;
  /** Place a node and what follows it; returns its row. */
  const place = (
    index: number,
    node: PathNode,
    at: readonly [place: number, of: number],
  ): number => {
    const own = children.get(index) ?? [];
    const slot = placed.push({
      ...{ ...node, index, column: node.depth - 1, row: 0, children: own },
      ...{ place: at[0], siblings: at[1], isKept: kept.has(index) },
    });
    const below = placeAll(own);
    const row = below.length === 0 ? rows++ : ((below[0] ?? 0) + (below.at(-1) ?? 0)) / 2;
    const before = placed[slot - 1];
    if (before !== undefined) placed[slot - 1] = { ...before, row };
    return row;
  };
  const placeAll = (indices: readonly number[]): number[] =>
    indices.flatMap((index, at) => {
      const node = nodes[index];
      return node === undefined ? [] : [place(index, node, [at + 1, indices.length])];
    });
  placeAll(children.get(-1) ?? []);
  const columns = Math.max(0, ...nodes.map(({ depth }) => depth));
  return { nodes: placed, rows, columns };
}

/** Return the place in the layout's order that a key leads to; null for any other key. */
export function nextInTree(key: string, at: number, { nodes }: TreeLayout): number | null {
  const here = nodes[at];
  const place = (index: number | undefined): number => {
    const found = nodes.findIndex((node) => node.index === index);
    return found < 0 ? at : found;
  };
  switch (key) {
    case 'ArrowDown':
      return Math.min(nodes.length - 1, at + 1);
    case 'ArrowUp':
      return Math.max(0, at - 1);
    case 'ArrowRight':
      return place(here?.children[0]);
    case 'ArrowLeft':
      return place(here?.parent);
    case 'Home':
      return 0;
    case 'End':
      return nodes.length - 1;
    default:
      return null;
  }
}

/** Return the tokens of the path up to a placed node. */
export function tokensTo(nodes: readonly PathNode[], { index }: PlacedNode): number[] {
  return pathTo(nodes, index);
}
