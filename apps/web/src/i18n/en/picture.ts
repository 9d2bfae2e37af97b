// English: captions of saved pictures.
import { count } from '../number_format';

export const picture = {
  text: (tokens: number) => (tokens === 1 ? 'Text, 1 token' : `Text, ${count(tokens)} tokens`),
  edits: 'Edits',
  lens: (name: string) => (name === 'logit' ? 'logit lens' : `${name} lens`),
  /** A cell stands for several numbers or tokens. */
  pooled: (rows: number, columns: number) =>
    `Each cell is the value furthest from 0 of ${count(rows)} × ${count(columns)} (tokens × components)`,
};
