// English: the next token and how it is drawn.

export const next = {
  title: 'What comes next',
  caption: (vocab: string) =>
    `The model’s probability for each of the ${vocab} tokens it knows, likeliest first. Click one to append it.`,
  masked: {
    title: (position: string) => `What stands at position ${position}`,
    caption: (vocab: string) =>
      `The model’s probability for each of the ${vocab} tokens it knows, at the first mask in the text, or at the last token where there is none. It reads the whole text and doesn’t continue it. Click one to put it there.`,
    replace: 'Put this token there',
    replaceNamed: (label: string) => `Put ${label} there`,
  },
  token: 'Token',
  truth: 'The model',
  drawn: 'When sampling',
  cut: 'cut',
  cuts: {
    title: 'What sampling keeps and cuts',
    caption:
      'All tokens from the likeliest to the least likely; the width is the probability that they hold.',
    set: 'Tokens',
    count: 'How many',
    mass: 'The model',
    tempered: (temperature: string) => `At temperature ${temperature}`,
    kept: 'kept',
    rules: {
      greedy: () => 'cut: not the likeliest',
      'top-k': (value: string) => `cut by top-k ${value}`,
      'top-p': (value: string) => `cut by top-p ${value}`,
      'min-p': (value: string) => `cut by min-p ${value}`,
    },
    nothing: 'No rule cuts anything: every token can be drawn.',
  },
  append: 'Append this token',
  appendNamed: (label: string) => `Append ${label}`,
  rest: (tokens: string, probability: string) => `${tokens} others share ${probability}.`,
  more: 'Show more',
  fewer: 'Show fewer',
  entropy: (bits: string, choices: string) =>
    `Uncertainty ${bits} bits: as unsure as among ${choices} equal choices.`,
  beforeMark: 'The dark tick marks the probability before heads were switched off.',
};
