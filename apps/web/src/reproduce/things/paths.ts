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
      'start, longest = ids.shape[1] - 1, max(len(path) for path in paths)',
      'joint = []',
      'for path in paths:',
      // Tokens behind a path change nothing before it, and edits may name the last ones.
      '    padded = path + [0] * (longest - len(path))',
      '    whole = torch.cat([ids, torch.tensor([padded])], dim=1)',
      '    logits = model(whole, use_cache=False).logits[0, start : start + len(path)]',
      '    each = logits.log_softmax(-1).gather(-1, torch.tensor(path)[:, None])',
      '    joint.append(each.sum())',
      'computed = torch.stack(joint)',
    ],
  };
}
