// The likeliest tokens that a lens reads from a layer.
import { readLines } from '../module_paths';
import { pythonIntegers } from '../python_text';
import type { Recipe, RunOrigin } from '../recipe';
import type { ShownLens } from '../shown_numbers';

export function lensRecipe(shown: ShownLens, origin: RunOrigin): Recipe {
  const { pack, layer, position, ids, values } = shown;
  // A pack has no map for the last layer, whose stream the model itself reads.
  const mapped = pack !== null && layer < origin.model.shape.layers - 1 ? pack : null;
  return {
    title: `${pack === null ? 'Logit lens' : `Lens ${pack.file}`} at layer ${layer}, token ${position}`,
    notes: [],
    sees: [{ joint: 'resid_post', layer }],
    attentions: false,
    file:
      mapped === null
        ? null
        : { variable: 'lens_file', name: mapped.file, what: "the lens pack's file" },
    names: ids.map((id) => `${id} ${origin.labelOf(id)}`),
    shown: values,
    compute: [
      `stream = seen["resid_post", ${layer}][0, ${position}]`,
      ...(mapped === null ? [] : mapLines(mapped.kind, layer)),
      ...readLines(origin.paths),
      'probabilities = read(stream).softmax(-1)',
      `computed = probabilities[${pythonIntegers(ids)}]`,
    ],
  };
}

/** Return the lines that map `stream` as a pack does. */
export function mapLines(kind: 'tuned' | 'jacobian', layer: number): string[] {
  const read = (part: string): string => `pack.get_tensor("layer_${layer}.${part}").float()`;
  return [
    'with safe_open(lens_file, "pt") as pack:',
    kind === 'tuned'
      ? `    stream = stream + stream @ ${read('weight')} + ${read('bias')}`
      : `    stream = stream @ ${read('weight')}`,
  ];
}
