// English: the tree of the likeliest continuations.

export const paths = {
  title: 'Likeliest paths',
  caption:
    'How the text would most likely go on: at each step, the continuations of the highest joint probability are kept and continued (beam search). Choose a token to take the path up to it into the text.',
  formula:
    'Joint probability of a path = product of the probabilities of its tokens, each given the text and the path before it. Temperature and cuts play no part.',
  whole: 'This model reads a text whole and doesn’t continue it, so there are no paths.',
  depth: 'Tokens ahead',
  width: 'Paths kept',
  open: 'Search',
  close: 'Close the tree',
  cost: (runs: string, tokens: number, stepTime: string | null) =>
    `At most ${runs} runs of up to ${tokens} tokens each behind the cached text${stepTime === null ? '' : `; a run of one token takes ${stepTime} here`}.`,
  working: (done: number, of: number) => `Searching: ${done} of at most ${of} runs`,
  full: 'The text fills all that the model can read: nothing can follow.',
  treeLabel:
    'Tree of likeliest paths. Arrow keys move, Enter takes the path up to the token into the text.',
  node: (token: string, own: string, joint: string) =>
    `${token} ${joint} for the path to here, ${own} after what stands before it`,
  ends: 'ends the text',
  reading: (path: string, joint: string, nats: string, own: string) =>
    `${path} : the path has ${joint} (ln p = ${nats}); its last token ${own}.`,
  legendOwn: 'bar: probability of the token after what stands before it, 0 to 100%',
  legendJoint: 'line: joint probability of the path, the thicker the likelier',
  legendDropped: 'dashed: not among the paths that were kept',
  best: 'The paths that were kept',
  path: 'Path',
  joint: 'Joint probability',
  nats: 'Log probability, nats',
  take: 'Take it',
  takeNamed: (path: string) => `Take it: ${path}`,
  together: (probability: string) =>
    `Together they hold ${probability} of all continuations of this length.`,
  stale: 'This tree is of an earlier text.',
};
