// English: the comparison of two runs.
import { count } from '../number_format';

export const compare = {
  title: 'Compare',
  caption:
    'Puts another run beside this one: the same text without the edits, another text, a kept run, or a second variant, which gets a worker of its own. Everything here is computed now, from what both answer.',
  with: 'Beside',
  here: 'This page',
  load: (size: string) => `Load it (${size})`,
  loadRun: 'Load its model',
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
  alignedOnly: 'The map has the tokens that face each other; they are named as in this run.',
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
  edited: (edits: number) =>
    edits === 1 ? 'The edit is on in both.' : `The ${count(edits)} edits are on in both.`,
  sides: {
    here: 'this run',
    unedited: 'the run without edits',
    text: 'the other text',
  },
  choices: {
    same: 'The same text',
    other: 'Another text',
    runs: 'Kept runs',
    unedited: 'without the edits',
    text: 'a text written here',
  },
  noEdits: 'No edit is on, so both sides are one run: add one under Interventions.',
  otherText: 'The other text',
  otherTextHint: 'It is read without the edits.',
  exchange: 'Exchange the two texts',
  noText: 'Write a text to compare with.',
  textOf: (text: string) => `“${text}”`,
  editsOf: (edits: string) => `Edits: ${edits}`,
  noEditsOf: 'No edits',
  runGone: 'This run is no longer kept.',
  foreign: (model: string, variant: string) =>
    `It is of ${model} in ${variant}, which has to be loaded beside this one.`,
  deeper: 'Compare streams and lens, too',
  deeperCost:
    'This runs each text once more with every layer’s stream and lens, which takes time and memory in this model.',
  mapsLeftOut: (names: number) =>
    `There is not enough memory for ${count(names)} more activations on both sides: what they would show is missing.`,
  tokens: {
    title: 'Tokens side by side',
    summary: (same: number, other: number, onlyA: number, onlyB: number) =>
      `${count(same)} tokens are the same, ${count(other)} are exchanged, ${count(onlyA)} stand only in this run and ${count(onlyB)} only in the other.`,
    label: 'Both texts, token by token',
    gap: 'nothing faces it',
    byText: 'The two models have other tokens: those with the same text face each other.',
  },
  otherVocabulary:
    'The two models have other vocabularies, so their probabilities cannot be paired token by token.',
  lens: {
    title: 'Layer by layer, and patching by dragging',
    caption: (lens: string) =>
      `Each cell is what ${lens} reads after a layer at a token. Drag a cell of the other run onto one of this run: its residual stream is put in there. By keyboard: Enter picks a cell, the arrow keys move, Enter drops it, Escape lets go. By touch: tap the one, then the other.`,
    logitLens: 'the logit lens',
    changed: (cells: number, all: number) =>
      `${count(cells)} of ${count(all)} facing cells have another likeliest token.`,
    sameAll: 'No facing cell has another likeliest token.',
    grid: (side: string) => `${side}: layers down, tokens across`,
    cell: (side: string, layer: number, token: string, guess: string, share: string) =>
      `${side}, layer ${layer} at ${token}: ${guess} with ${share}`,
    differs: 'another token than on the other side',
    legend: 'Probability of the likeliest token',
    otherwise: 'Other likeliest token than on the other side',
    reach: 'Cells that the change can reach',
    picked: (layer: number, token: string) =>
      `Picked: the stream of the other run after layer ${layer} at ${token}. Choose a cell of this run.`,
    letGo: 'Let go',
    target: (layer: number, token: string, cells: number) =>
      `Layer ${layer} at ${token}: the change can reach ${count(cells)} cells.`,
    onOther: 'Values are put into this run. To go the other way, exchange the texts.',
    done: (fromLayer: number, from: string, layer: number, token: string) =>
      `The stream after layer ${layer} at ${token} is now that of the other run after layer ${fromLayer} at ${from}.`,
    takeBack: 'Take it back',
    effect: (cells: number, all: number, nats: string) =>
      `Against this run without edits: ${count(cells)} of ${count(all)} cells read another token, and the prediction moved by KL ${nats} nats.`,
    effectTop: (before: string, ofBefore: string, after: string, ofAfter: string) =>
      `Likeliest before: ${before} with ${ofBefore}. Now: ${after} with ${ofAfter}.`,
    numbers:
      'The other run is edited, of another variant, or of stored ids, so a patch holds its numbers and stays out of the link.',
    otherLens: (a: string, b: string) =>
      `This run is read through ${a}, the other one through ${b}: their cells are not of one kind.`,
    otherWidth:
      'The two models’ streams differ in width or number of layers: nothing can be put in.',
    none: 'This model has no lens for its layers, so there are no cells to drag.',
  },
  streams: {
    title: 'Inside, layer by layer',
    caption:
      'How far the two runs’ vectors are apart after each layer, at the tokens that face each other.',
    kind: 'Activation',
    kinds: {
      resid_post: 'residual stream',
      attn_output: 'attention’s output',
      mlp_output: 'MLP’s output',
    },
    measure: 'Measure',
    measures: { norm: 'length of the difference', cosine: 'cosine' },
    legends: { norm: 'Length of B − A', cosine: 'cosine between A and B' },
    mapLabel: 'Layers down, facing tokens across. Arrow keys read the cells.',
    reading: (layer: number, a: string, b: string, norm: string, cosine: string) =>
      `Layer ${layer}, ${a} and ${b}: ‖B − A‖ = ${norm}, cosine ${cosine}`,
    otherWidth: 'The two models’ vectors differ in width, so they cannot be subtracted.',
    none: 'No activation is open on both sides.',
  },
};
