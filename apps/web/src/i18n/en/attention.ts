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
  kindLabel: 'Which attention',
  kinds: { attn_probs: 'Probabilities', attn_scores: 'Raw scores', weighted: 'Value-weighted' },
  kindTitles: {
    attn_probs: 'After the softmax: each row sums to 1',
    attn_scores: 'Before the softmax',
    weighted: 'Probability times the norm of the value that it fetches',
  },
  overLabel: 'One head or several',
  overs: { head: 'One head', mean: 'Mean', max: 'Max' },
  overTitles: {
    head: 'The head that is pointed at or selected',
    mean: 'Mean of several heads',
    max: 'Largest value of several heads',
  },
  set: 'Heads',
  setOpen: 'all open',
  ofHeads: (over: 'mean' | 'max', heads: number) =>
    `${over === 'mean' ? 'Mean' : 'Max'} of ${heads === 1 ? 'one head' : `${count(heads)} heads`}`,
  log: 'Log scale',
  logTitle: 'Colours follow the logarithm, so that very small values show',
  logMeans: 'Colours follow the logarithm from 0.01% to 100%; what is below is as 0.01%.',
  weightedMeans:
    'Value-weighted: p‖v‖ / Σ p‖v‖, the attention p times the norm of the head’s value vector v, without the output matrix, so that each row sums to 1. A token that is looked at but has a small value counts little.',
  togetherMeans:
    'Each cell of the large map is the mean or the largest value over the chosen heads.',
  root: 'Bring out small values',
  gridLabel: 'Attention heads, layers down and heads across',
  headName: (layer: number, head: number) => `Layer ${layer}, head ${head}`,
  headLabel: (layer: number, head: number, off: boolean) =>
    `Layer ${layer}, head ${head}${off ? ', switched off' : ''}`,
  off: 'off',
  habits: (habits: HeadHabits) =>
    `On average ${share(habits.previous)} on the token before, ${share(habits.first)} on the first, ${share(habits.self)} on itself${habits.induction === null ? '' : `, ${share(habits.induction)} on what followed the same token earlier`}.`,
  mapRole: 'attention map',
  mapLabel: (head: string) =>
    `Attention map: ${head}. Arrow keys move, Enter locks the row, plus and minus change how close it is.`,
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
  legends: {
    attn_probs: 'Attention',
    attn_scores: 'Score',
    weighted: 'Share of p‖v‖',
  },
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
