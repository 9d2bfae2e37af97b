// A tree of paths as a table, as tensors, and as the numbers of a program that computes them again.
import { pathTo } from '../../analysis/path_search';
import { tokenData } from '../../analysis/token_data';
import type { Cell } from '../../charts/table_text';
import type { ShownPaths } from '../../reproduce/shown_numbers';
import type { FoundTree } from '../../session/path_trees.svelte';
import type { SavedTensor } from '../save/saved_tensors';

/** Make one row per token of the tree; a node's parent is named by its number, none for the first tokens. */
export function nodeRows({ nodes, best, pieces }: FoundTree): (readonly Cell[])[] {
  return [
    [
      ...[
        'node',
        'parent',
        'depth',
        'id',
        'token',
        'probability',
        'joint_probability',
        'log_joint',
      ],
      ...['ends', 'kept_rank'],
    ],
    ...nodes.map(({ parent, depth, token, logProbability, joint, ends }, node) => [
      ...[node, parent < 0 ? '' : parent, depth, token, tokenData(pieces.get(token)?.bytes)],
      ...[Math.exp(logProbability), Math.exp(joint), joint, ends ? 1 : 0],
      best.includes(node) ? best.indexOf(node) + 1 : '',
    ]),
  ];
}

export function treeTensors({ nodes }: FoundTree): SavedTensor[] {
  const shape = [nodes.length];
  return [
    { name: 'path_ids', shape, data: Int32Array.from(nodes, ({ token }) => token) },
    { name: 'path_parents', shape, data: Int32Array.from(nodes, ({ parent }) => parent) },
    {
      name: 'path_log_probabilities',
      shape,
      data: Float32Array.from(nodes, ({ logProbability }) => logProbability),
    },
    { name: 'path_log_joint', shape, data: Float32Array.from(nodes, ({ joint }) => joint) },
  ];
}

/** Return what a program must compute: the logarithm of each kept path's joint probability. */
export function shownPaths({ nodes, best }: FoundTree): ShownPaths {
  return {
    thing: 'paths',
    paths: best.map((index) => pathTo(nodes, index)),
    values: best.map((index) => nodes[index]?.joint ?? NaN),
  };
}
