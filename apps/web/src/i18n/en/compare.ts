// English: the comparison of two variants.
import { count } from '../number_format';

export const compare = {
  title: 'Compare variants',
  caption:
    'A second variant reads the same text in a worker of its own. Everything here is computed now, from what both answer.',
  with: 'Beside',
  here: 'This page',
  load: (size: string) => `Load it (${size})`,
  close: 'Close, free its memory',
  reading: 'Reading the text…',
  prediction: 'What comes next',
  predictionLabel: 'Next-token probabilities of both variants on one scale',
  divergences: (a: string, b: string, ab: string, ba: string) =>
    `KL(${a} ‖ ${b}) is ${ab} nats, KL(${b} ‖ ${a}) is ${ba} nats.`,
  sameTop: (token: string, a: string, b: string) =>
    `Both find ${token} likeliest, with ${a} and ${b}.`,
  otherTop: (a: string, tokenA: string, b: string, tokenB: string) =>
    `They disagree: ${a} finds ${tokenA} likeliest, ${b} finds ${tokenB}.`,
  identical: 'Not a single probability differs.',
  token: 'Token',
  change: 'Points',
  rest: (tokens: string) => `${tokens} others`,
  attention: 'Attention',
  attentionCaption: (a: string, b: string) =>
    `How much more (or less) each token looks back in ${b} than in ${a}, for one head.`,
  layer: 'Layer',
  head: 'Head',
  furthest: 'Where they differ most',
  noMaps: 'No attention map is open in both variants.',
  leftOut: (maps: number) =>
    `There is not enough memory for a second copy of ${maps === 1 ? 'one attention map' : `${count(maps)} attention maps`}: their differences are not shown.`,
  mapRole: 'map of differences',
  mapLabel: (layer: number, head: number) =>
    `Differences in attention, layer ${layer}, head ${head}. Arrow keys move, plus and minus change how close it is.`,
  cell: (from: string, to: string, a: string, b: string, change: string) =>
    `${from}  looks at  ${to}  with ${a} and ${b}: ${change} points`,
  largest: (from: string, to: string, a: string, b: string, change: string) =>
    `The largest difference in this map: ${from} looks at ${to} with ${a} and ${b}, ${change} points.`,
  same: 'The two maps are equal to the last bit.',
  legend: (a: string, b: string) => `${b} − ${a}, points`,
  headsOff: 'The heads that are switched off are off in both.',
};
