// English: direct logit attribution, and the parts of an attention score.
import type { PartShare } from '../../analysis/attribution_parts';

type Named = Pick<PartShare, 'kind' | 'layer' | 'head'>;

export const attribution = {
  title: 'Attribution',
  caption:
    'Which parts of the model made this prediction? The last norm and the unembedding turn the sum of all parts into a logit, so each part’s share is a number, and the shares sum to the logit.',
  formula:
    'Direct logit attribution: share of a part x = (N x) · (u_A − u_B), where N is the final norm with its divisor held fixed and u the tokens’ columns of the unembedding.',
  missing:
    'This variant can’t be attributed: it was exported before contract 2.1, is a bare graph, or has parts that don’t simply add up (experts, or norms behind attention or MLP).',
  open: 'Attribute the prediction',
  cost: (sessionTime: string, runTime: string | null) =>
    `This prepares the model once more, without a download, which took ${sessionTime} last time, and then runs the text twice${runTime === null ? '' : ` (${runTime} each)`}.`,
  close: 'Close the attribution',
  working: (done: number, of: number) => `Attributing: ${done} of ${of} runs`,
  cancel: 'Cancel',
  retry: 'Try again',
  position: (token: string) => `Prediction after  ${token}`,
  positionHint: 'Choose another position by a token of the text above.',
  token: 'Token A',
  minus: 'minus token B',
  likeliest: (token: string) => `${token} (the likeliest)`,
  second: 'the second likeliest',
  none: 'nothing: the logit of A itself',
  typed: 'another token…',
  typeLabel: { answer: 'Text of token A', other: 'Text of token B' },
  take: 'Use it',
  typeHint: 'A space before a word belongs to its token.',
  notOne: (tokens: readonly string[]) =>
    tokens.length === 0
      ? 'Nothing was typed; expected the text of one token.'
      : `Got ${tokens.length} tokens, ${tokens.map((token) => `“${token}”`).join(' ')}; expected the text of one token: shorten it, or begin it with a space.`,
  notId: (text: string, most: number) =>
    `Got “${text}”; expected the id of a token, from 0 to ${most}.`,
  logit: (answer: string, other: string | null) =>
    other === null
      ? `Logit of ${answer}, from the run`
      : `Logit of ${answer} minus logit of ${other}, from the run`,
  sum: 'sum of all parts',
  difference: 'difference',
  mapTitle: 'By part',
  mapCaption:
    'A row for each layer, a column for each head. Click a head to look at it in all views; click an MLP for its neurons. The sums of each row are beside it.',
  mapLabel: 'Shares of all parts',
  legend: 'Share, in logits',
  rest: 'bias',
  mlp: 'MLP',
  attention: 'attention Σ',
  layerSum: 'layer Σ',
  reading: (part: string, share: string) => `${part}: ${share} logits`,
  part: ({ kind, layer, head }: Named): string => {
    switch (kind) {
      case 'embedding':
        return 'Embedding';
      case 'head':
        return `Layer ${layer}, head ${head}`;
      case 'attention_rest':
        return `Layer ${layer}, attention bias`;
      case 'mlp':
        return `Layer ${layer}, MLP`;
      case 'bias':
        return 'Bias of the final norm';
    }
  },
  sumOf: (layer: number, of: 'attention' | 'layer') =>
    of === 'attention' ? `Layer ${layer}, all heads and bias` : `Layer ${layer}, all parts`,
  textTitle: 'By position: where heads took it from',
  textCaption:
    'Each token’s colour is what heads took from it: attention times what the token’s value says of A (or of A − B). Embedding, MLPs and biases act at the last token itself. Click a token to ask the selected head about it.',
  row: 'Heads',
  rows: {
    all: 'all heads',
    layer: (layer: number) => `all heads of layer ${layer}`,
    head: (layer: number, head: number) => `layer ${layer}, head ${head}`,
  },
  fromToken: (token: string, share: string) => `From ${token}: ${share} logits`,
  rowSum: (share: string) => `Sum over the text: ${share} logits`,
  overview: 'All layers by token',
  listTitle: 'Strongest parts',
  order: 'Order',
  orders: {
    strongest: 'strongest first',
    up: 'raises most first',
    down: 'lowers most first',
    model: 'as the model computes them',
  },
  listPart: 'Part',
  listShare: 'Share, logits',
  more: (count: number) => `Show all ${count} parts`,
  fewer: 'Show fewer',
  neuronsTitle: 'Neurons',
  neuronsOf: 'Neurons of the MLP of',
  noLayer: 'no layer',
  neuronsCost: 'Another layer takes preparing the model once more, and the two runs again.',
  neuron: (neuron: number) => `Neuron ${neuron}`,
  neuronsSum: (neurons: string, mlp: string) =>
    `All neurons together: ${neurons} of the MLP’s ${mlp} logits; the rest is its bias.`,
  looksTitle: (layer: number, head: number) => `Where does layer ${layer}, head ${head} look?`,
  looksNone: 'Choose a head in the map to see where it looks, and what made it look there.',
  looksAt: 'Token',
  looksShare: 'Attention',
  looksGives: 'Gives, logits',
  why: 'What made it look there?',
  whyCost: (runs: string, runTime: string | null) =>
    `An answer takes ${runs} runs with edits${runTime === null ? '' : `, about ${runTime} here`}.`,
  whyWorking: (done: number, of: number) => `Splitting the score: ${done} of ${of} runs`,
  scoreTitle: (layer: number, head: number, query: string, key: string) =>
    `Layer ${layer}, head ${head} from  ${query}  to  ${key}`,
  scoreFormula:
    'QK attribution: score = scale × query · key before the softmax, which splits into a product for each pair of earlier parts.',
  scoreSum: (score: string, sum: string, difference: string) =>
    `Score before the softmax, from the run: ${score}; sum of all pairs: ${sum}; difference: ${difference}.`,
  atQuery: 'Parts at the token that looks',
  atKey: 'Parts at the token looked at',
  pairs: 'Strongest pairs',
  pair: (query: string, key: string) => `${query} × ${key}`,
  scorePart: ({ kind, layer, head }: Named): string =>
    kind === 'bias' ? 'Biases of norm, query and key' : attribution.part({ kind, layer, head }),
};
