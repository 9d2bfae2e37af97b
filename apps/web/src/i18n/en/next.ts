// English: the next token and how it is drawn.

export const next = {
  title: 'What comes next',
  caption: (vocab: string) =>
    `The model’s probability for each of the ${vocab} tokens it knows, likeliest first. Click one to append it.`,
  token: 'Token',
  truth: 'The model',
  drawn: 'When sampling',
  cut: 'cut',
  append: 'Append this token',
  appendNamed: (label: string) => `Append ${label}`,
  rest: (tokens: string, probability: string) => `${tokens} others share ${probability}.`,
  more: 'Show more',
  fewer: 'Show fewer',
  entropy: (bits: string, choices: string) =>
    `Uncertainty ${bits} bits: as unsure as among ${choices} equal choices.`,
  beforeMark: 'The dark tick marks the probability before heads were switched off.',
};
