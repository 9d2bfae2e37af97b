// A neuron at a token: its activation, the norm of its row of the output matrix, and what the row does to logits.
import { divisorLines, finalNormOf, normed } from '../module_paths';
import { pythonIntegers, pythonString } from '../python_text';
import type { Recipe, RunOrigin } from '../recipe';
import type { ShownNeuron } from '../shown_numbers';

export function neuronRecipe(shown: ShownNeuron, origin: RunOrigin): Recipe | null {
  const { layer, neuron, position, ids, values } = shown;
  const { model, paths, labelOf } = origin;
  const last = model.shape.layers - 1;
  const final = finalNormOf(paths);
  const isAlone = ids.length === 0;
  if (final === null && !isAlone) return null;
  const module = pythonString(`${paths.blocks}.${layer}.${paths.mlpOutputMatrix}`);
  return {
    title: `Neuron ${neuron} of layer ${layer} at token ${position}`,
    notes: isAlone
      ? []
      : [
          "Its effect on a logit is that of an activation of 1, with the final norm's divisor at this token.",
        ],
    sees: [
      { joint: 'mlp_act', layer },
      ...(isAlone ? [] : [{ joint: 'resid_post', layer: last } as const]),
    ],
    attentions: false,
    file: null,
    names: [
      'activation',
      "norm of the neuron's row",
      ...ids.map((id) => `logit of ${id} ${labelOf(id)} for an activation of 1`),
    ],
    shown: values,
    compute: [
      `activation = seen["mlp_act", ${layer}][0, ${position}, ${neuron}]`,
      `row = model.get_submodule(${module}).weight${paths.matrix === 'linear' ? '.T' : ''}[${neuron}]`,
      'computed = torch.stack([activation, row.norm()])',
      ...(final === null || isAlone
        ? []
        : [
            `stream = seen["resid_post", ${last}][0, ${position}]`,
            ...divisorLines(final, 'stream'),
            `normed = ${normed(final, 'row')}`,
            `effects = model.get_submodule(${pythonString(paths.unembedding)}).weight @ normed`,
            `computed = torch.cat([computed, effects[${pythonIntegers(ids)}]])`,
          ]),
    ],
  };
}
