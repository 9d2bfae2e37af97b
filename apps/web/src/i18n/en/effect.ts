// English: the effect of a head that is off.

export const effect = {
  title: (heads: number) =>
    heads === 1 ? '1 head is switched off' : `${heads} heads are switched off`,
  restore: 'Switch all on',
  remove: (head: string) => `Switch ${head} on`,
  before: 'Before',
  after: 'After',
  change: 'Points',
  caption: (nats: string, rank: number) =>
    `What it does to the next token. The two predictions lie ${nats} nats apart (KL divergence); the likeliest token before is ${rank === 1 ? 'still the likeliest' : `now number ${rank}`}.`,
  afterGeneration: 'The comparison with the untouched model follows when generation stops.',
};
