// The probability of each token of the text after the tokens before it.
import { pythonIntegers } from '../python_text';
import type { Recipe, RunOrigin } from '../recipe';
import type { ShownSteps } from '../shown_numbers';

export function stepsRecipe(
  { positions, values }: ShownSteps,
  { ids, labelOf }: RunOrigin,
): Recipe {
  return {
    title: 'Probability of each token after the tokens before it',
    notes: [],
    sees: [],
    attentions: false,
    file: null,
    names: positions.map((at) => `${at} ${labelOf(ids[at] ?? 0)}`),
    shown: values,
    compute: [
      'probabilities = output.logits[0, :-1].softmax(-1)',
      // Row i predicts token i + 1.
      'each = probabilities.gather(-1, ids[0, 1:, None])[:, 0]',
      `computed = each[torch.tensor(${pythonIntegers(positions)}) - 1]`,
    ],
  };
}
