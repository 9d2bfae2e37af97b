// A feature of a dictionary at a token: its value, and what its row of the decoder does to logits.
import {
  divisorLines,
  finalNormOf,
  normed,
  type FinalNorm,
  type ModulePaths,
} from '../module_paths';
import { pythonIntegers, pythonString } from '../python_text';
import type { Recipe, RunOrigin } from '../recipe';
import type { ShownFeature } from '../shown_numbers';

export function featureRecipe(shown: ShownFeature, origin: RunOrigin): Recipe | null {
  const { file, name, reads, writes, feature, position, ids, values } = shown;
  const { model, paths, labelOf } = origin;
  const last = model.shape.layers - 1;
  const final = finalNormOf(paths);
  const isAlone = ids.length === 0;
  if (final === null && !isAlone) return null;
  return {
    title: `Feature ${feature} of ${name} at token ${position}`,
    notes: isAlone
      ? []
      : [
          "Its effect on a logit is that of a value of 1, with the final norm's divisor at this token.",
        ],
    sees: [
      { joint: reads.kind, layer: reads.layer },
      ...(isAlone ? [] : [{ joint: 'resid_post', layer: last } as const]),
    ],
    attentions: false,
    file: { variable: 'dictionary_file', name: file, what: "the dictionary's file" },
    names: ['value', ...ids.map((id) => `logit of ${id} ${labelOf(id)} for a value of 1`)],
    shown: values,
    compute: [
      `x = seen["${reads.kind}", ${reads.layer}][0, ${reads.kind === 'attn_z' ? `:, ${position}].flatten()` : `${position}]`}`,
      'with safe_open(dictionary_file, "pt") as stored:',
      '    parts = {name: stored.get_tensor(name).float() for name in stored.keys()}',
      'pre = x @ parts["encoder_weight"] + parts["encoder_bias"]',
      ...activationLines(shown),
      `computed = features[[${feature}]]`,
      ...(final === null || isAlone
        ? []
        : [
            `row = parts["decoder_weight"][${feature}]`,
            ...matrixLines(writes, paths),
            ...effectLines(final, { last, position, unembedding: paths.unembedding, ids }),
          ]),
    ],
  };
}

/** Return the lines that compute `features` from `pre`. */
function activationLines({ activation, k }: ShownFeature): string[] {
  if (activation === 'relu') return ['features = pre.relu()'];
  if (activation === 'jumprelu')
    return ['features = torch.where(pre > parts["threshold"], pre.relu(), 0.0)'];
  return [
    `kept = pre.relu().topk(${k ?? 0})`,
    'features = torch.zeros_like(pre).scatter(0, kept.indices, kept.values)',
  ];
}

/** Return the lines that take `row` through the output matrix, where it is not in the stream. */
function matrixLines({ kind, layer }: ShownFeature['writes'], paths: ModulePaths): string[] {
  const matrix = { attn_z: paths.attentionOutputMatrix, mlp_act: paths.mlpOutputMatrix };
  if (kind !== 'attn_z' && kind !== 'mlp_act') return [];
  const module = pythonString(`${paths.blocks}.${layer}.${matrix[kind]}`);
  const turned = paths.matrix === 'linear' ? '.T' : '';
  return [`row = row @ model.get_submodule(${module}).weight${turned}`];
}

interface AtToken {
  readonly last: number;
  readonly position: number;
  readonly unembedding: string;
  readonly ids: readonly number[];
}

/** Return the lines that add the effects of `row` on the logits of tokens to `computed`. */
function effectLines(final: FinalNorm, { last, position, unembedding, ids }: AtToken): string[] {
  return [
    `stream = seen["resid_post", ${last}][0, ${position}]`,
    ...divisorLines(final, 'stream'),
    `normed = ${normed(final, 'row')}`,
    `effects = model.get_submodule(${pythonString(unembedding)}).weight @ normed`,
    `computed = torch.cat([computed, effects[${pythonIntegers(ids)}]])`,
  ];
}
