// A row of an attention map: weights, or scores before the softmax.
import type { Recipe, RunOrigin } from '../recipe';
import type { ShownAttention } from '../shown_numbers';

export function attentionRecipe(shown: ShownAttention, origin: RunOrigin): Recipe {
  const { kind, query, values } = shown;
  const [layer, head] = shown.head;
  // The model returns its weights itself, unless an edit needs attention of the script's own.
  const returned = kind === 'attn_probs' && !origin.ownAttention;
  const map = returned ? `output.attentions[${layer}]` : `seen["${kind}", ${layer}]`;
  return {
    title: `Attention ${kind === 'attn_probs' ? 'weights' : 'scores'} of layer ${layer}, head ${head}, from token ${query}`,
    notes: [],
    sees: returned ? [] : [{ joint: kind, layer }],
    attentions: returned,
    file: null,
    names: values.map((_, key) => `to ${key} ${origin.labelOf(origin.ids[key] ?? 0)}`),
    shown: values,
    compute: [`computed = ${map}[0, ${head}, ${query}, :${values.length}]`],
  };
}
