// English: features of dictionaries (sparse autoencoders and transcoders).
export const features = {
  title: 'Features',
  caption:
    'A dictionary reads an activation at each token and gives features, most of them 0. The few that are above 0 rebuild the activation, each with its value times a direction of its own. A feature often stands for one thing that the text says.',
  dictionary: 'Dictionary',
  kinds: {
    sae: (place: string) => `Sparse autoencoder of ${place}`,
    transcoder: (place: string) => `Transcoder to ${place}`,
  },
  reads: (place: string) => `computed from ${place}`,
  described: (features: string, activation: string) => `${features} features, ${activation}.`,
  activations: {
    relu: 'ReLU',
    jumprelu: 'JumpReLU',
    topk: (k: number) => `the ${k} largest at each token`,
  },
  source: (source: string) => `Source: ${source}`,
  formulas: {
    relu: 'f = max(x · e + b, 0), with the feature’s column e of the encoder',
    jumprelu: 'f = x · e + b where that is above the feature’s threshold, else 0',
    topk: 'f = max(x · e + b, 0) for the largest of all features, else 0',
  },
  rebuilds: 'x̂ = Σ f · d + bias, with the feature’s row d of the decoder',
  measured: (tokens: string, name: string) =>
    `Measured on ${tokens} tokens of “${name}”, a text that it was not trained on:`,
  notMeasured: 'This dictionary was added without measurements.',
  figures: {
    explained: 'explained variance',
    l0: 'features above 0 (L0)',
    dead: 'dead features',
    recovered: 'loss recovered',
  },
  losses: (model: string, replaced: string, zeroed: string) =>
    `Loss ${model} of the model, ${replaced} with the rebuilt activation, ${zeroed} with zeros in its place, in nats.`,
  missing:
    'Features can’t be read in this variant: it has no open graph of contract 2.0 or later. Export the model again, or choose another variant.',
  open: 'Read the features',
  cost: (size: string) => `The dictionary’s file has ${size}.`,
  kept: 'It is downloaded once, and kept for the next visit where this browser keeps models.',
  memory: (needed: string, room: string) =>
    `With this text’s features it needs about ${needed} of memory, and this device probably has ${room} for it. Reading may fail; the model then has to be opened again.`,
  loading: (done: string, of: string) => `Downloading the dictionary: ${done} of ${of}`,
  working: (done: number, of: number) => `Reading the features: ${done} of ${of} steps done`,
  cancelled: 'Cancelled: the features were not read.',
  position: (token: string) => `At  ${token}`,
  positionHint: 'Choose another position by a token of the text.',
  fitHere: (count: string, explained: string) =>
    `Features above 0 here: ${count}. Explained variance at this token: ${explained}.`,
  fitText: (count: string, explained: string) =>
    `Over this text without its first token, as in the dictionary’s own figures: ${count} at each token on average, with an explained variance of ${explained}.`,
  strongest: 'Strongest features',
  none: 'No feature is above 0 at this token.',
  feature: 'Feature',
  value: 'Value f',
  raises: 'Raises',
  number: 'Feature number',
  name: (dictionary: string, feature: number) => `${dictionary} · ${feature}`,
  alongTitle: 'Along the text',
  alongCaption:
    'The value of this feature at each token. Click a token to look at the strongest features there.',
  atToken: (token: string, value: string) => `At ${token}: ${value}`,
  legend: 'Value of the feature',
  contextsTitle: 'Where it is strongest in this text',
  off: 'It is 0 at every token of this text.',
  tokensTitle: 'Tokens that it raises and lowers',
  tokensCaption:
    'Change of each logit by the feature’s direction d through the final norm and the unembedding alone, (N d) · u, where N is the final norm with its divisor held at this token’s. Later layers may change what the feature does.',
  behindMatrix:
    'Here d goes through the layer’s output matrix first, which leads to the residual stream.',
  noTokens:
    'The tokens that a feature raises are not shown here: this variant was exported before contract 2.1, or what its layers give passes another norm on the way to the stream.',
  up: 'Raises',
  down: 'Lowers',
  perUnit: 'Logits for f = 1',
  here: 'Here, × f',
  change: 'Change it',
  changeCaption: (place: string) =>
    `Add adds the amount times the feature’s direction d to ${place}. Set adds (amount − f) × d to ${place}. The value that is read afterwards can differ from the amount, because the encoder’s direction e is not the decoder’s direction d.`,
  addCaption: (place: string) => `Add adds the amount times the feature’s direction d to ${place}.`,
  amount: 'Amount',
  onlyHere: 'at this token only',
  add: 'Add',
  clamp: 'Set',
  changed: (number: number, edit: string) =>
    `Number ${number} in the list of interventions: ${edit}. It can be changed and switched off there.`,
};
