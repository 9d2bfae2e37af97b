// English: the attention maps.
import type { HeadHabits } from '../../analysis/attention_rows';
import { count, percent } from '../number_format';

/** The first and the last token of a range. */
type Ends = readonly [first: number, last: number];

const share = (value: number): string => percent(value);

export const attention = {
  title: 'Attention',
  caption: (theme: 'light' | 'dark') =>
    `Each small map is one attention head. Each row is a token looking back at the tokens before it; ${theme === 'light' ? 'darker' : 'brighter'} means it attends more. Point at a map to see it large, click to lock it.`,
  layersOpen: (layers: readonly number[]) =>
    layers.length === 1
      ? `Layer ${layers.join('')} is open.`
      : `Layers ${joined(layers)} are open.`,
  openOthers: (maps: number) =>
    maps === 1 ? 'Open the other layer' : `Open the other ${maps} layers`,
  noneOpen: 'No attention map is open. Open one on the panel of activations below.',
  kindLabel: 'Before or after softmax',
  probabilities: 'Probabilities',
  scores: 'Raw scores',
  root: 'Bring out small values',
  gridLabel: 'Attention heads, layers down and heads across',
  headName: (layer: number, head: number) => `Layer ${layer}, head ${head}`,
  headLabel: (layer: number, head: number, off: boolean) =>
    `Layer ${layer}, head ${head}${off ? ', switched off' : ''}`,
  off: 'off',
  habits: (habits: HeadHabits) =>
    `On average ${share(habits.previous)} on the token before, ${share(habits.first)} on the first, ${share(habits.self)} on itself${habits.induction === null ? '' : `, ${share(habits.induction)} on what followed the same token earlier`}.`,
  mapRole: 'attention map',
  mapLabel: (layer: number, head: number) =>
    `Attention map of layer ${layer}, head ${head}. Arrow keys move, Enter locks the row, plus and minus change how close it is.`,
  mapHint: 'Point at a cell, or focus the map and use the arrow keys, to read its value.',
  cell: (from: string, to: string, value: string) => `${from}  looks at  ${to}  with ${value}`,
  future: (from: string, to: string) => `${from}  cannot look ahead at  ${to}`,
  /** A part of a large map, as it is looked at closely. */
  window: {
    label: 'Part of the map',
    closer: 'Closer',
    whole: 'Whole map',
    how: 'Or drag a square on the map, spread two fingers on it, turn the wheel with Ctrl held, or press + and −; Escape goes back.',
    move: { left: 'Move left', up: 'Move up', down: 'Move down', right: 'Move right' },
    all: (tokens: number) => `All ${count(tokens)} tokens.`,
    part: (rows: Ends, columns: Ends, tokens: number) =>
      `Tokens ${rows.join('–')} looking at tokens ${columns.join('–')}, of ${count(tokens)}.`,
    pooled: (perCell: number, signed: boolean) =>
      `One drawn cell stands for ${perCell} × ${perCell} tokens and shows ${signed ? 'their value furthest from 0' : 'their largest value'}.`,
  },
  hidden: (from: string, to: string) =>
    `${from}  is kept from looking at  ${to}  by the model’s mask`,
  ownScales:
    'Each map of scores has a scale of its own, which ends at its score furthest from 0; the scale below is the large map’s.',
  smallPooled: (signed: boolean) =>
    `The small maps have fewer pixels than tokens: each pixel shows ${signed ? 'the value furthest from 0' : 'the largest value'} of those it covers.`,
  weight: 'Attention',
  score: 'Score',
  switchOff: (layer: number, head: number) => `Switch off layer ${layer}, head ${head}`,
  switchOn: (layer: number, head: number) => `Switch layer ${layer}, head ${head} on again`,
  arcsTitle: (head: string) => `${head}, over the text`,
  arcsCaption:
    'The marked token looks back along the coloured lines; the thicker, the more. Faint lines show where other tokens look with more than 30%. Point at another token to follow it.',
  arcsLabel: 'The text with the attention of one token',
  looksAt: 'Looking back from',
};

function joined(layers: readonly number[]): string {
  return `${layers.slice(0, -1).join(', ')} and ${layers.at(-1) ?? ''}`;
}
