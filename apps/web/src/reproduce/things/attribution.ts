// Shares of parts of the model in a token's logit: each goes through the final norm with the whole stream's divisor.
import type { Place } from '../hooks';
import { divisorLines, finalNormOf, normed } from '../module_paths';
import { pythonString } from '../python_text';
import type { Recipe, RunOrigin } from '../recipe';
import type { Part, ShownAttribution } from '../shown_numbers';

export function attributionRecipe(shown: ShownAttribution, origin: RunOrigin): Recipe | null {
  const { answer, other, position, parts, values } = shown;
  const { model, paths, labelOf } = origin;
  const last = model.shape.layers - 1;
  const final = finalNormOf(paths);
  if (final === null) return null;
  const token = (id: number): string => `${id} ${labelOf(id)}`;
  const lines = parts.map((part) => `shares.append(${shareOf(part, origin)})`);
  return {
    title:
      other === null
        ? `Shares of the logit of ${token(answer)} at token ${position}`
        : `Shares of the difference of the logits of ${token(answer)} and ${token(other)} at token ${position}`,
    notes: [],
    sees: [{ joint: 'resid_post', layer: last }, ...parts.flatMap((part) => seenFor(part))],
    attentions: false,
    file: null,
    names: parts.map(partName),
    shown: values,
    compute: [
      `rows = model.get_submodule(${pythonString(paths.unembedding)}).weight`,
      `direction = rows[${answer}]${other === null ? '' : ` - rows[${other}]`}`,
      `stream = seen["resid_post", ${last}][0, ${position}]`,
      ...divisorLines(final, 'stream'),
      `share = lambda part: (${normed(final, 'part')}) @ direction`,
      'shares = []',
      ...lines,
      'computed = torch.stack(shares)',
    ],
  };

  function shareOf(part: Part, { paths: { blocks, attentionOutputMatrix } }: RunOrigin): string {
    if (part.part === 'embedding') return `share(seen["resid_pre", 0][0, ${position}])`;
    if (part.part === 'bias') return biasShare();
    if (part.part === 'mlp') return `share(seen["mlp_output", ${part.layer}][0, ${position}])`;
    const mix = `seen["attn_z", ${part.layer}][0, :, ${position}]`;
    const module = pythonString(`${blocks}.${part.layer}.${attentionOutputMatrix}`);
    // From heads side by side to the stream.
    const matrix = `model.get_submodule(${module}).weight${paths.matrix === 'linear' ? '.T' : ''}`;
    if (part.part === 'attention_rest')
      return `share(seen["attn_output", ${part.layer}][0, ${position}] - ${mix}.flatten() @ ${matrix})`;
    const width = model.shape.value_dim ?? model.shape.head_dim;
    const rows = `${part.head * width} : ${(part.head + 1) * width}`;
    return `share(${mix}[${part.head}] @ ${matrix}[${rows}])`;
  }

  function biasShare(): string {
    const bias = final?.form.bias ?? null;
    return bias === null ? 'torch.tensor(0.0)' : `${bias} @ direction`;
  }
}

function seenFor(part: Part): Place[] {
  switch (part.part) {
    case 'embedding':
      return [{ joint: 'resid_pre', layer: 0 }];
    case 'bias':
      return [];
    case 'mlp':
      return [{ joint: 'mlp_output', layer: part.layer }];
    case 'head':
      return [{ joint: 'attn_z', layer: part.layer }];
    case 'attention_rest':
      return [
        { joint: 'attn_z', layer: part.layer },
        { joint: 'attn_output', layer: part.layer },
      ];
  }
}

function partName(part: Part): string {
  switch (part.part) {
    case 'embedding':
      return 'embedding';
    case 'bias':
      return "the final norm's bias";
    case 'mlp':
      return `MLP of layer ${part.layer}`;
    case 'head':
      return `head ${part.head} of layer ${part.layer}`;
    case 'attention_rest':
      return `rest of attention of layer ${part.layer}`;
  }
}
