// Values of an activation at a token, and the length of its vector.
import { parseActivationName } from '../../contract/activation_table';
import type { ActivationKind } from '../../contract/generated';
import { pythonIntegers } from '../python_text';
import type { Recipe } from '../recipe';
import type { ShownActivation } from '../shown_numbers';

/** Kinds whose values are by head: (1, heads, tokens, width). */
const BY_HEAD: ReadonlySet<ActivationKind> = new Set(['q', 'k', 'v', 'attn_z']);

export function activationRecipe(shown: ShownActivation): Recipe {
  const { name, position, indices, values, norm } = shown;
  const { kind, layer } = parseActivationName(name) ?? { kind: 'logits' as const, layer: null };
  // The first block's input is the sum of the embeddings.
  const joint = kind === 'embedding_sum' ? 'resid_pre' : kind;
  const all = kind === 'logits' ? 'output.logits' : `seen["${joint}", ${layer ?? 0}]`;
  return {
    title: `${name} at token ${position}`,
    notes: [],
    sees: kind === 'logits' ? [] : [{ joint, layer: layer ?? 0 }],
    attentions: false,
    file: null,
    names: [...indices.map((index) => `[${index}]`), 'length of the vector'],
    shown: [...values, norm],
    compute: [
      `vector = ${all}[0, ${BY_HEAD.has(kind) ? `:, ${position}].flatten()` : `${position}]`}${kind === 'expert_ids' ? '.float()' : ''}`,
      `computed = torch.cat([vector[${pythonIntegers(indices)}], vector.norm()[None]])`,
    ],
  };
}
