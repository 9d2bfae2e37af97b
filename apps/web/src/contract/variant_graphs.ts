// The graphs of a variant: plain, decoder and open from contract 2.0 on, plain and interactive before. The same in Python:
// oriel/contract/variant_graphs.py.
import type { GraphKind } from './activation_table';
import type { GraphRecord, Variant } from './generated';

/** List the graphs of a variant with the kind that each stands for. */
export function graphsOf({
  plain,
  decoder,
  open,
  static: staticGraph,
  interactive,
}: Variant): (readonly [GraphKind, GraphRecord])[] {
  const all = [
    ['plain', plain],
    ['decoder', decoder],
    ['open', open],
    ['static', staticGraph],
    ['interactive', interactive],
  ] as const;
  return all.flatMap(([kind, record]) => (record === undefined ? [] : [[kind, record] as const]));
}

/**
 * Return the graph that a session opens, and that taps are appended to: the open graph, in contract 1.x the interactive
 * one. A bare file is the only one of its variant.
 */
export function sessionGraph({ plain, decoder, open, interactive }: Variant): GraphRecord {
  return open ?? interactive ?? decoder ?? plain;
}

/** List the paths of a variant's graphs and of the weights that they read. */
export function pathsReadBy(variant: Variant): string[] {
  const { weights, expansion } = variant;
  const graphs = graphsOf(variant).map(([, { path }]) => path);
  return [...weights, ...graphs, ...(expansion === undefined ? [] : [expansion.path])];
}
