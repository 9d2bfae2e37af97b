// The probabilities of next tokens.
import { pythonIntegers } from '../python_text';
import type { Recipe, RunOrigin } from '../recipe';
import type { ShownNext } from '../shown_numbers';

export function nextRecipe({ ids, values }: ShownNext, origin: RunOrigin): Recipe {
  return {
    title: 'Probabilities of the next token',
    notes: ['Temperature, top-k and top-p, by which sampling changes them, are not in these.'],
    sees: [],
    attentions: false,
    file: null,
    names: ids.map((id) => `${id} ${origin.labelOf(id)}`),
    shown: values,
    compute: [
      'probabilities = output.logits[0, -1].softmax(-1)',
      `computed = probabilities[${pythonIntegers(ids)}]`,
    ],
  };
}
