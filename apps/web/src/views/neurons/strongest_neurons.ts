// The strongest neurons at a position, and where in the text one fires most.
import { largest } from '../../analysis/probabilities';
import type { ReadText } from '../../session/neurons.svelte';

export const NEURON_ORDERS = ['write', 'activation', 'up', 'down'] as const;
/** By the length of what a neuron writes, by the size of its activation, or by its sign: most positive, most negative. */
export type NeuronOrder = (typeof NEURON_ORDERS)[number];

export interface NeuronAt {
  readonly layer: number;
  readonly neuron: number;
  readonly activation: number;
  /** Norm of its row of the output matrix. */
  readonly row: number;
  /** Length of what it writes: |activation| × norm of the row. */
  readonly write: number;
}

/** Return one neuron's activations over the text, (tokens). */
export function alongText(
  { activations, tokens }: Pick<ReadText, 'activations' | 'tokens'>,
  layer: number,
  neuron: number,
): Float32Array {
  const values = activations[layer] ?? new Float32Array();
  const width = values.length / tokens.length;
  return Float32Array.from(tokens, (_, position) => values[position * width + neuron] ?? NaN);
}

export function neuronAt(
  { activations, rows, tokens }: ReadText,
  [layer, neuron]: readonly [number, number],
  position: number,
): NeuronAt {
  const values = activations[layer] ?? new Float32Array();
  const activation = values[(position * values.length) / tokens.length + neuron] ?? NaN;
  const row = rows[layer]?.[neuron] ?? NaN;
  return { layer, neuron, activation, row, write: Math.abs(activation) * row };
}

/** Return the first neurons in an order, of one layer or of all (null). */
export function strongest(
  found: ReadText,
  asked: { readonly layer: number | null; readonly order: NeuronOrder; readonly count: number },
  position: number,
): NeuronAt[] {
  const { layer: only, order, count } = asked;
  const layers = found.rows.flatMap((_, layer) => (only === null || only === layer ? [layer] : []));
  const first = layers.flatMap((layer) => {
    const width = found.rows[layer]?.length ?? 0;
    const all = Array.from({ length: width }, (_, neuron) =>
      neuronAt(found, [layer, neuron], position),
    );
    const keys = all.map((each) => keyOf(each, order));
    return largest(keys, count).flatMap((at) => all[at] ?? []);
  });
  return first.sort((a, b) => keyOf(b, order) - keyOf(a, order)).slice(0, count);
}

function keyOf({ activation, write }: NeuronAt, order: NeuronOrder): number {
  switch (order) {
    case 'write':
      return write;
    case 'activation':
      return Math.abs(activation);
    case 'up':
      return activation;
    case 'down':
      return -activation;
  }
}
