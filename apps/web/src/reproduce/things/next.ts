// The probabilities of next tokens.
import { pythonIntegers } from '../python_text';
import type { Recipe, RunOrigin } from '../recipe';
import type { ShownNext } from '../shown_numbers';

export function nextRecipe({ ids, position, values }: ShownNext, origin: RunOrigin): Recipe {
  return {
    title:
      position === undefined
        ? 'Probabilities of the next token'
        : `Probabilities of the tokens at position ${position}`,
    notes:
      position === undefined
        ? ['Temperature, top-k and top-p, by which sampling changes them, are not in these.']
        : [],
    sees: [],
    attentions: false,
    file: null,
    names: ids.map((id) => `${id} ${origin.labelOf(id)}`),
    shown: values,
    compute: [
      `probabilities = output.logits[0, ${position ?? -1}].softmax(-1)`,
      `computed = probabilities[${pythonIntegers(ids)}]`,
    ],
  };
}
