// Reads the lens on both sides of a comparison: a cell for each layer and facing column, and what differs.
import type { ActivationSet } from '../../activations/activation_set';
import type { AlignedPair } from '../../analysis/align_tokens';
import { activationName } from '../../contract/activation_table';
import type { Cell } from '../../charts/table_text';
import { tokenData } from '../../analysis/token_data';
import type { ComparedPair } from '../../session/comparisons.svelte';

export interface LensGuess {
  readonly id: number;
  readonly probability: number;
}

/** Return what the lens finds likeliest after a layer at a token; null where it is not open. */
export function guessAt(
  activations: ActivationSet,
  layer: number,
  position: number | null,
): LensGuess | null {
  if (position === null) return null;
  const ids = activations.get(activationName('lens_ids', layer));
  const probs = activations.get(activationName('lens_probs', layer));
  const [id, probability] = [ids?.row(position)[0], probs?.row(position)[0]];
  return id === undefined || probability === undefined ? null : { id, probability };
}

/** List the layers that the lens reads in all of these. */
export function lensLayers(sets: readonly ActivationSet[], layers: number): number[] {
  return Array.from({ length: layers }, (_, layer) => layer).filter((layer) =>
    sets.every((set) => guessAt(set, layer, 0) !== null),
  );
}

export interface ChangedCells {
  /** Cells with another likeliest token, as `layer.position` of the first side. */
  readonly cells: ReadonlySet<string>;
  readonly of: number;
}

/** Compare the likeliest tokens of two runs at the columns where both have one. */
export function changedCells(
  [a, b]: readonly [ActivationSet, ActivationSet],
  columns: readonly Pick<AlignedPair, 'a' | 'b'>[],
  layers: readonly number[],
): ChangedCells {
  const cells = new Set<string>();
  let of = 0;
  for (const layer of layers)
    for (const column of columns) {
      const [ofA, ofB] = [guessAt(a, layer, column.a), guessAt(b, layer, column.b)];
      if (ofA === null || ofB === null) continue;
      of++;
      if (ofA.id !== ofB.id) cells.add(`${layer}.${column.a ?? ''}`);
    }
  return { cells, of };
}

/** Make one row for each layer and column of the alignment; a gap is empty. */
export function lensPairRows({ a, b, aligned }: ComparedPair, layers: readonly number[]): Cell[][] {
  const cellsOf = (side: ComparedPair['a'], layer: number, position: number | null): Cell[] => {
    const guess = guessAt(side.answer.activations, layer, position);
    if (position === null || guess === null) return ['', '', '', '', ''];
    const { pieces, tokens } = side.answer;
    return [
      ...[position, tokenData(tokens[position]?.bytes), guess.id],
      ...[tokenData(pieces.get(guess.id)?.bytes), guess.probability],
    ];
  };
  const heads = (side: string): string[] =>
    ['position', 'token', 'guess_id', 'guess_token', 'probability'].map(
      (name) => `${name}_${side}`,
    );
  return [
    ['layer', ...heads('a'), ...heads('b')],
    ...layers.flatMap((layer) =>
      aligned.map((column) => [
        ...[layer, ...cellsOf(a, layer, column.a), ...cellsOf(b, layer, column.b)],
      ]),
    ),
  ];
}
