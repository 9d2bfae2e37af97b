// English: the logit lens.

export const lens = {
  title: 'Logit lens',
  titles: { logit: 'Logit lens', tuned: 'Tuned lens', jacobian: 'Jacobian lens' },
  captions: {
    logit: 'What the model would say next if it stopped after each layer.',
    tuned:
      'What each layer lets one predict, read through a linear map that was fitted to the model’s own predictions.',
    jacobian:
      'What each layer would make the model say, read through the average derivative of the last layer by this one.',
  },
  caption:
    'Each column is a position in the text, each row a layer; the bottom row is the real prediction. The stronger the colour, the surer.',
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
};
