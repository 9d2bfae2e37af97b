// English: the labels of a classifier.

export const labels = {
  ofText: 'Labels of this text',
  ofTokens: 'Label of each token',
  captions: {
    single_label: (labels: string) =>
      `The model’s probability for each of its ${labels} labels, likeliest first. One of them holds, so they sum to 100%.`,
    multi_label: (labels: string) =>
      `The model’s probability for each of its ${labels} labels, likeliest first. Several may hold, so each stands by itself.`,
    regression: (labels: string) =>
      labels === '1'
        ? 'The number that the model gives this text, as it was trained to; it is no probability.'
        : `The ${labels} numbers that the model gives this text, as it was trained to; they are no probabilities.`,
  },
  fromPooled: 'They are read from the pooled vector of the text.',
  pickToken: 'Pick a token to see all of its labels.',
  show: (token: string) => `Show the labels of ${token}`,
  at: (position: string) => `At position ${position}`,
  label: 'Label',
  likeliest: 'Likeliest label',
  probability: 'Probability',
  number: 'Number',
  all: (labels: string) => `Show all ${labels}`,
  beforeMark: 'The dark tick marks the probability without the edits.',
  otherLabels:
    'The two models tell apart different things, so their predictions have no difference.',
  notLabel: (got: string) => `“${got}” is none of the model’s labels.`,
  change: 'Difference',
  sweep: {
    metric: 'logit difference of two labels',
    answer: 'Label',
    other: 'minus label',
    answerHint:
      'A label as the model names it. Empty: the likeliest of the second text, minus the likeliest of this one.',
    same: 'Both texts find the same label likeliest: name the two labels to measure.',
  },
  wholeText: 'text',
  noText: 'This model labels texts; it generates none.',
};
