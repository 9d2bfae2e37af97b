// The steps of a text as a table, as tensors, and as the numbers of a program that computes them again.
import { tokenData } from '../../analysis/token_data';
import type { Cell } from '../../charts/table_text';
import type { ModelShape } from '../../contract/generated';
import type { ShownSteps } from '../../reproduce/shown_numbers';
import type { FoundSteps } from '../../session/token_steps.svelte';
import type { SavedTensor } from '../save/saved_tensors';

/** Multiplications of one more run of the text up to which the view makes it as soon as it is seen. */
const CHEAP = 10e9;

/** Return whether running a text of so many tokens with a prediction at each costs little. */
export function isCheap(
  { layers, hidden, intermediate, vocab }: ModelShape,
  tokens: number,
): boolean {
  return tokens * (layers * hidden * (4 * hidden + 3 * intermediate) + hidden * vocab) <= CHEAP;
}

/** Make one row per token and likely token in its place. */
export function stepRows({ steps, pieces }: FoundSteps): (readonly Cell[])[] {
  const nameOf = (id: number): Cell[] => [id, tokenData(pieces.get(id)?.bytes)];
  return [
    [
      ...['position', 'id', 'token', 'probability', 'rank', 'entropy_bits'],
      ...['likely_rank', 'likely_id', 'likely_token', 'likely_probability'],
    ],
    ...steps.flatMap(({ position, id, probability, rank, entropy, likeliest }) =>
      likeliest.map((other, at) => [
        ...[position, ...nameOf(id), probability, rank + 1, entropy],
        ...[at + 1, ...nameOf(other.id), other.probability],
      ]),
    ),
  ];
}

/** Return the probability and the rank of each token from the second on, and the likeliest tokens in its place. */
export function stepTensors({ steps }: FoundSteps): SavedTensor[] {
  const top = steps[0]?.likeliest.length ?? 0;
  const likeliest = steps.flatMap((step) => step.likeliest);
  const one = [1, steps.length];
  return [
    {
      name: 'token_probabilities',
      shape: one,
      data: Float32Array.from(steps, ({ probability }) => probability),
    },
    { name: 'token_ranks', shape: one, data: Int32Array.from(steps, ({ rank }) => rank + 1) },
    { name: 'likely_ids', shape: [...one, top], data: Int32Array.from(likeliest, ({ id }) => id) },
    {
      name: 'likely_probabilities',
      shape: [...one, top],
      data: Float32Array.from(likeliest, ({ probability }) => probability),
    },
  ];
}

export function shownSteps({ steps }: FoundSteps): ShownSteps {
  return {
    thing: 'steps',
    positions: steps.map(({ position }) => position),
    values: steps.map(({ probability }) => probability),
  };
}
