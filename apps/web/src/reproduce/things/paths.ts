// The joint probabilities of continuations of the text.
import { pythonIntegers, pythonList } from '../python_text';
import type { Recipe, RunOrigin } from '../recipe';
import type { ShownPaths } from '../shown_numbers';

export function pathsRecipe({ paths, values }: ShownPaths, { labelOf }: RunOrigin): Recipe {
  return {
    title: 'Joint probabilities of continuations, as natural logarithms',
    notes: [],
    sees: [],
    attentions: false,
    file: null,
    tokensBehind: Math.max(0, ...paths.map(({ length }) => length)),
    names: paths.map((path) => path.map(labelOf).join('')),
    shown: values,
    compute: [
      `paths = ${pythonList(paths.map(pythonIntegers))}`,
      'joint = []',
      'for path in paths:',
      '    whole = torch.cat([ids, torch.tensor([path])], dim=1)',
      '    logits = model(whole, use_cache=False).logits[0, -len(path) - 1 : -1]',
      '    each = logits.log_softmax(-1).gather(-1, torch.tensor(path)[:, None])',
      '    joint.append(each.sum())',
      'computed = torch.stack(joint)',
    ],
  };
}
