// A row of an attention map: weights, scores before the softmax, or weights times the norms of the values; of one head, or
// of several together.
import { pythonList } from '../python_text';
import type { Recipe, RunOrigin } from '../recipe';
import type { ShownAttention } from '../shown_numbers';

export function attentionRecipe(shown: ShownAttention, origin: RunOrigin): Recipe {
  const { kind, query, values, over, weighted = false } = shown;
  const heads = over?.heads ?? [shown.head];
  const layers = [...new Set(heads.map(([layer]) => layer))];
  // The model returns its weights itself, unless the script needs attention of its own: for an edit, or for the values.
  const returned = kind === 'attn_probs' && !origin.ownAttention && !weighted;
  const map = returned ? 'output.attentions[layer]' : `seen["${kind}", layer]`;
  return {
    title: `Attention ${titleOf(shown)}, from token ${query}`,
    notes: [],
    sees: layers.flatMap((layer) => [
      ...(returned ? [] : [{ joint: kind, layer }]),
      ...(weighted ? [{ joint: 'v' as const, layer }] : []),
    ]),
    attentions: returned,
    file: null,
    names: values.map((_, key) => `to ${key} ${origin.labelOf(origin.ids[key] ?? 0)}`),
    shown: values,
    compute: [
      `heads = ${pythonList(heads.map((head) => `(${head.join(', ')})`))}`,
      'rows = []',
      'for layer, head in heads:',
      `    row = ${map}[0, head, ${query}, :${values.length}]`,
      ...(weighted
        ? [
            '    values = seen["v", layer][0]  # several heads may share one',
            `    row = row * values[head * len(values) // ${origin.model.shape.heads}, :${values.length}].norm(dim=-1)`,
            '    row = row / row.sum()',
          ]
        : []),
      '    rows.append(row)',
      `computed = torch.stack(rows).${over?.how === 'max' ? 'amax(0)' : 'mean(0)'}`,
    ],
  };
}

function titleOf({ kind, head: [layer, head], over, weighted = false }: ShownAttention): string {
  const what =
    kind === 'attn_scores' ? 'scores' : weighted ? 'weights times norms of values' : 'weights';
  if (over === undefined) return `${what} of layer ${layer}, head ${head}`;
  return `${what}, ${over.how === 'mean' ? 'mean' : 'largest'} of ${over.heads.length} heads`;
}
