// Differences between two runs of one model: the second feeds other tokens, or the same without the edits.
import { forwardPass } from '../forward_pass';
import { readLines } from '../module_paths';
import { pythonIntegers, pythonList } from '../python_text';
import type { Recipe, RunOrigin } from '../recipe';
import type { ShownDifference } from '../shown_numbers';

/** The reading of each run that a kind of number needs, and the result of both. */
interface Parts {
  readonly title: string;
  readonly sees: Recipe['sees'];
  readonly attentions: boolean;
  readonly names: readonly string[];
  /** Lines that set `here` from the run that has just been made, of the tokens of this side. */
  readonly read: (side: 'a' | 'b') => readonly string[];
  /** Lines that set `computed` from `first` and `second`. */
  readonly compute: readonly string[];
}

export function differenceRecipe(shown: ShownDifference, origin: RunOrigin): Recipe {
  const { other, values } = shown;
  const parts = partsOf(shown, origin);
  const isSame =
    other.ids.length === origin.ids.length && other.ids.every((id, at) => id === origin.ids[at]);
  return {
    title: parts.title,
    notes: [
      isSame
        ? 'A is the text with the edits, B the same text without them.'
        : `A is this text${origin.isEdited ? ' with the edits' : ''}, B another text without edits.`,
    ],
    ...{ sees: parts.sees, attentions: parts.attentions, names: parts.names },
    file: null,
    shown: values,
    compute: [
      ...parts.read('a'),
      'first = here',
      // They are there where something is edited alone.
      ...(origin.isEdited ? ['changes.clear()'] : []),
      `other_ids = torch.tensor([${pythonList(other.ids.map(String))}])`,
      `output = ${forwardPass(origin, 'other_ids', parts.attentions)}`,
      ...parts.read('b'),
      'second = here',
      ...parts.compute,
    ],
  };
}

function partsOf({ what }: ShownDifference, origin: RunOrigin): Parts {
  switch (what.of) {
    case 'prediction':
      return {
        title: 'Divergence between two predictions in nats, and changes of probabilities, B less A',
        ...{ sees: [], attentions: false },
        names: ['KL(A || B)', 'KL(B || A)', ...what.ids.map((id) => `${id} ${origin.labelOf(id)}`)],
        read: (side) => [
          `here = output.logits[0, ${what.at?.[side] ?? -1}].double().log_softmax(-1)`,
        ],
        compute: [
          'divergences = [(first.exp() * (first - second)).sum(), (second.exp() * (second - first)).sum()]',
          `changes_of = (second.exp() - first.exp())[${pythonIntegers(what.ids)}]`,
          'computed = torch.cat([torch.stack(divergences), changes_of])',
        ],
      };
    case 'attention': {
      const [layer, head] = what.head;
      const returned = !origin.ownAttention;
      const map = returned ? `output.attentions[${layer}]` : `seen["attn_probs", ${layer}]`;
      return {
        title: `Differences in attention, B less A, of layer ${layer}, head ${head}, from token ${what.query.a} of A and ${what.query.b} of B`,
        sees: returned ? [] : [{ joint: 'attn_probs', layer }],
        attentions: returned,
        names: what.keys.map(
          ({ a, b }) => `to ${a} and ${b} ${origin.labelOf(origin.ids[a] ?? 0)}`,
        ),
        read: (side) => [
          `here = ${map}[0, ${head}, ${what.query[side]}][${pythonIntegers(what.keys.map((key) => key[side]))}]`,
        ],
        compute: ['computed = second - first'],
      };
    }
    case 'stream': {
      const { kind, layer, pairs, measure } = what;
      return {
        title: `${measure === 'norm' ? 'Length of B - A' : 'Cosine between A and B'} of layer_${layer}_${kind}, at tokens that face each other`,
        sees: [{ joint: kind, layer }],
        attentions: false,
        names: pairs.map(({ a, b }) => `${a} and ${b} ${origin.labelOf(origin.ids[a] ?? 0)}`),
        read: (side) => [
          `here = seen["${kind}", ${layer}][0, ${pythonIntegers(pairs.map((pair) => pair[side]))}]`,
        ],
        compute: [
          measure === 'norm'
            ? 'computed = (second - first).norm(dim=-1)'
            : 'computed = torch.nn.functional.cosine_similarity(first, second, dim=-1)',
        ],
      };
    }
    case 'lens': {
      const { layer, cell, ids } = what;
      return {
        title: `Logit lens at layer ${layer}: changes of probabilities from token ${cell.a} of A to token ${cell.b} of B`,
        sees: [{ joint: 'resid_post', layer }],
        attentions: false,
        names: ids.map((id) => `${id} ${origin.labelOf(id)}`),
        read: (side) => [
          ...readLines(origin.paths),
          `here = read(seen["resid_post", ${layer}][0, ${cell[side]}]).softmax(-1)`,
        ],
        compute: [`computed = (second - first)[${pythonIntegers(ids)}]`],
      };
    }
  }
}
