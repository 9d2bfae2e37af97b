// Scores of attention heads: where each looks on average, and how narrowly.
import type { ScoreName } from '../../analysis/head_scores';
import { pythonList } from '../python_text';
import type { Recipe, RunOrigin } from '../recipe';
import type { ShownHeadScores } from '../shown_numbers';

/** Python that gives one score of `weights`, (tokens, tokens), from `places`, the keys of each query. */
const COMPUTED: Readonly<Record<ScoreName, string>> = {
  previous_token: 'weights.diagonal(-1).mean()',
  first_token: 'weights[1:, 0].mean()',
  duplicate_token: 'mean_over(weights, earlier)',
  induction: 'mean_over(weights, [[key + 1 for key in keys] for keys in earlier])',
  entropy: 'torch.special.entr(weights).sum(-1).mean()',
};

const MEAN_OVER = `def mean_over(weights, places):
    """Mean attention from each token to its places, over the tokens that have any."""
    return torch.stack([weights[at, keys].sum() for at, keys in enumerate(places) if keys]).mean()

`;

export function headScoresRecipe(shown: ShownHeadScores, origin: RunOrigin): Recipe {
  const { heads, scores, values } = shown;
  const layers = [...new Set(heads.map(([layer]) => layer))];
  const isRepeated = scores.some((name) => name === 'duplicate_token' || name === 'induction');
  // The model returns its weights itself, unless an edit needs attention of the script's own.
  const returned = !origin.ownAttention;
  return {
    title: `Scores of ${heads.length} attention heads on ${origin.ids.length} tokens`,
    notes: [],
    sees: returned ? [] : layers.map((layer) => ({ joint: 'attn_probs', layer })),
    attentions: returned,
    file: null,
    names: heads.flatMap(([layer, head]) => scores.map((name) => `${layer}.${head} ${name}`)),
    shown: values,
    compute: [
      ...(isRepeated
        ? [
            MEAN_OVER,
            'text = ids[0].tolist()',
            'earlier = [[key for key in range(at) if text[key] == text[at]] for at in range(len(text))]',
          ]
        : []),
      `heads = ${pythonList(heads.map((head) => `(${head.join(', ')})`))}`,
      'scores = []',
      'for layer, head in heads:',
      `    weights = ${returned ? 'output.attentions[layer]' : 'seen["attn_probs", layer]'}[0, head].double()`,
      ...scores.map((name) => `    scores.append(${COMPUTED[name]})`),
      'computed = torch.stack(scores)',
    ],
  };
}
