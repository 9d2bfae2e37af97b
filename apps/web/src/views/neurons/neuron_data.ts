// The neurons as a table, a row for each neuron at a position, as tensors, and one neuron's text as a picture.
import { activationName } from '../../contract/activation_table';
import { cellsSvg } from '../../charts/cells_svg';
import type { Theme, ValueScale } from '../../charts/colour_ramps';
import type { Cell } from '../../charts/table_text';
import { signed } from '../../i18n/number_format';
import type { NeuronEffect, ReadText } from '../../session/neurons.svelte';
import type { SavedTensor } from '../save/saved_tensors';
import { neuronAt } from './strongest_neurons';

export function neuronRows(found: ReadText, position: number): Cell[][] {
  const rows: Cell[][] = [['layer', 'neuron', 'position', 'activation', 'row_norm', 'write_norm']];
  for (const [layer, { length }] of found.rows.entries())
    for (let neuron = 0; neuron < length; neuron++) {
      const { activation, row, write } = neuronAt(found, [layer, neuron], position);
      rows.push([layer, neuron, position, activation, row, write]);
    }
  return rows;
}

export function neuronTensors(
  { activations, rows, tokens }: ReadText,
  effect: NeuronEffect | null,
): SavedTensor[] {
  return [
    ...activations.map((data, layer) => ({
      name: activationName('mlp_act', layer),
      shape: [1, tokens.length, data.length / tokens.length],
      data,
    })),
    ...rows.map((data, layer) => ({
      name: `layer_${layer}_mlp_row_norms`,
      shape: [data.length],
      data,
    })),
    ...(effect === null
      ? []
      : [
          {
            name: `layer_${effect.layer}_neuron_${effect.neuron}_logits_at_${effect.position}`,
            shape: [effect.effects.length],
            data: effect.effects,
          },
        ]),
  ];
}

interface NeuronPicture {
  readonly title: string;
  readonly caption: readonly string[];
  readonly label: string;
  readonly tokens: readonly string[];
  readonly values: Float32Array;
  readonly scale: ValueScale;
  readonly theme: Theme;
}

export function neuronPicture({ label, tokens, values, ...picture }: NeuronPicture): string {
  return cellsSvg({
    ...picture,
    columns: tokens,
    cell: { width: 72, height: 26 },
    labelWidth: 84,
    rows: [{ label, values, texts: Array.from(values, signed) }],
  });
}
