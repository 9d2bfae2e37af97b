// English: what the model expected at every token of the text, and the text edited in the middle.

export const steps = {
  title: 'Token by token',
  caption:
    'For each token of the text: how likely the model found it after the tokens before it, its rank among all tokens, and what else was likely. Choose another to put it in its place.',
  whole:
    'For each token of the text: how likely the model finds it where it stands, having read the whole text and the token itself, its rank among all tokens, and what else is likely. Put the mask in its place to see what the model expects of the others alone.',
  open: 'Read every token',
  cost: (tokens: string, runTime: string | null) =>
    `This runs the text once more, with the prediction at each of its ${tokens} tokens${runTime === null ? '' : ` (the text alone took ${runTime})`}.`,
  working: 'Reading every token…',
  retry: 'Try again',
  close: 'Close',
  short: 'The text has one token, which nothing comes before.',
  show: 'Show',
  shown: { generated: 'what was generated or picked', all: 'every token' },
  noneGenerated: 'Nothing of this text was generated or picked.',
  rest: 'What stands behind a token that you replace',
  rests: { keep: 'stays', cut: 'is cut' },
  restHint:
    'Only the tokens from the replaced one on are computed again; the cache has those before. Undo brings the old text back.',
  listLabel: 'Tokens of the text, one after another',
  position: 'Position',
  token: 'Token',
  probability: 'Probability',
  rank: 'Rank',
  entropy: 'Uncertainty, bits',
  others: 'What else was likely',
  first: 'nothing comes before it',
  choose: (token: string, probability: string, position: number, old: string) =>
    `${token} ${probability}: put it in the place of ${old} at position ${position}`,
  own: (token: string, probability: string) => `${token} ${probability}, as in the text`,
  detail: (position: number, old: string) =>
    `Likeliest tokens at position ${position}, where ${old} stands`,
  detailHint: 'Select a token of the text to see more of what was likely in its place.',
  total: (tokens: number, nats: string, perplexity: string) =>
    `${tokens} tokens together: ln p = ${nats}; perplexity ${perplexity}.`,
  unreplaceable: 'This token stands before every text and can’t be replaced.',
};
