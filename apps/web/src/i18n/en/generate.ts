// English: generating.
import { count } from '../number_format';

export const generate = {
  label: 'Generate',
  settings: 'How a token is drawn',
  play: 'Generate',
  stop: 'Stop',
  step: 'One token',
  back: 'Remove last',
  whole:
    'This model generates no text: it says which token stands at each position of a whole text.',
  mask: (token: string) => `Add ${token}`,
  temperature: 'temperature',
  likeliest: '0, likeliest',
  all: 'all',
  off: 'off',
  seed: 'seed',
  seedHint: 'The same seed draws the same token behind the same text. Empty: anew each time.',
  newSeed: 'Another seed',
  noSeed: 'anew each time',
  contextFull: (limit: number) => `The text fills all ${count(limit)} tokens the model can read.`,
  endToken: (token: string) => `The model ended the text with ${token}.`,
};
