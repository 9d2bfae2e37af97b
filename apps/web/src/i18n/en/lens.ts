// English: the logit lens.

export const lens = {
  title: 'Logit lens',
  titles: { logit: 'Logit lens', tuned: 'Tuned lens', jacobian: 'Jacobian lens' },
  captions: {
    logit: 'What the model would say next if it stopped after each layer.',
    whole:
      'What the model would say stands at each position if it stopped after each layer: its own head reads every layer.',
    tuned:
      'What each layer lets one predict, read through a linear map that was fitted to the model’s own predictions.',
    jacobian:
      'What each layer would make the model say, read through the average derivative of the last layer by this one.',
  },
  caption:
    'Each column is a position in the text, each row a layer; the bottom row is the real prediction. The stronger the colour, the surer.',
  axes: 'Each column is a position in the text, each row a layer; the bottom row is the last one.',
  through: 'Read through',
  lenses: {
    logit: 'the final norm alone (logit lens)',
    tuned: 'a tuned lens',
    jacobian: 'average Jacobians',
  },
  named: (kind: string, name: string) => `${kind}, ${name}`,
  fetching: 'Opening the lens…',
  nearer: (logit: string, lens: string) =>
    `On other text, its KL divergence from the model’s own prediction is ${lens} nats, averaged over layers; that of the logit lens is ${logit}.`,
  closed: 'The lens was not exported, but it is in the model.',
  partly: (open: number, all: number) => `Open on ${open} of ${all} layers.`,
  open: (layers: number) => `Open it on all ${layers} layers`,
  cell: (layer: number, input: string, guess: string, probability: string, right: boolean) =>
    `Layer ${layer}, after ${input}: ${guess}, ${probability}${right ? ', as it really went on' : ''}`,
  reading: (layer: number, input: string) => `After layer ${layer}, at  ${input}`,
  legend: 'Probability of the likeliest',
  right: 'the text really goes on like this',
  shows: 'Cells show',
  measures: {
    top: 'the likeliest token',
    certainty: 'the likeliest token’s probability',
    probability: 'the probability of a token',
    rank: 'the rank of a token',
    divergence: 'KL divergence from the final layer',
    entropy: 'entropy',
    norm: 'norm of the residual stream',
    growth: 'growth of the norm in the layer',
    turn: 'cosine with the layer before',
    final: 'cosine with the last layer',
  },
  groups: { predictions: 'Predictions', stream: 'Residual stream' },
  legends: {
    top: 'Probability of the likeliest',
    certainty: 'Probability of the likeliest',
    probability: 'Probability of the token',
    rank: 'Rank of the token',
    divergence: 'KL divergence, nats',
    entropy: 'Entropy, nats',
    norm: 'Norm',
    growth: 'Norm over the norm before the layer',
    turn: 'Cosine with the layer before',
    final: 'Cosine with the last layer',
  },
  formulas: {
    probability: 'Probability that the layer gives the token, out of all tokens.',
    rank: 'Place of the token among all tokens by its probability in that layer: 1 is the likeliest.',
    divergence:
      'KL(final ‖ layer) = Σ p_final · ln(p_final / p_layer) over all tokens, in nats: 0 where the layer already predicts what the model does.',
    entropy: 'H = −Σ p · ln p over all tokens, in nats: 0 where the layer is certain of one token.',
    norm: 'Euclidean norm of resid_post, the residual stream behind the layer.',
    growth:
      'Norm of resid_post divided by the norm of resid_pre: above 1 where the layer makes the stream longer.',
    turn: 'Cosine of resid_post and resid_pre: 1 where the layer leaves the direction as it was.',
    final:
      'Cosine of resid_post and the last layer’s: 1 where the direction is already the final one.',
  },
  follows: 'Token',
  followed: {
    predicted: 'what the model predicts there',
    next: 'the text’s next token',
  },
  typed: 'another token…',
  typeLabel: 'Text of the token',
  value: (what: string, value: string) => `${what}: ${value}`,
  none: 'no value here',
  measuredCell: (layer: number, input: string, value: string) =>
    `Layer ${layer}, at ${input}: ${value}`,
  tops: (guess: string) => `likeliest: ${guess}`,
  working: (done: number, of: number) => `Reading the layers: ${done} of ${of} runs`,
  cost: (runs: string, time: string | null) =>
    `This reads every layer out at every position with the whole vocabulary: ${runs} runs of the text${time === null ? '' : `, which takes ${time} each`}.`,
  measure: 'Read the layers',
  cancelled: 'Cancelled: the layers were not read.',
  unfit: 'These measures need an open graph of contract 2.0 or later: export the model again.',
};
