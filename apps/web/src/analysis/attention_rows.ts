// Measures on attention patterns: the strongest sources of a row, and the positions that a head attends to on average.
import { meanShare, scoredKeys } from './head_scores';
import { largest } from './probabilities';

/** Row `position` of a pattern: how much that token attends to each token so far. */
export type RowReader = (position: number) => ArrayLike<number>;

/** Scores below this come from the mask. */
export const MASKED_SCORE = -1e30;

export interface Source {
  position: number;
  weight: number;
}

/** Return the strongest sources of one row, strongest first, without zeros. */
export function strongestSources(row: ArrayLike<number>, count: number): Source[] {
  return largest(row, count)
    .map((position) => ({ position, weight: row[position] ?? 0 }))
    .filter((source) => source.weight > 0);
}

/**
 * Return the head with the largest weight on a single token that is neither the first, nor the token
 * itself, nor the one before. Null where the row is too short to have such a token.
 */
export function mostDecidedHead<Head>(
  heads: Iterable<{ head: Head; row: ArrayLike<number> }>,
  position: number,
): Head | null {
  let best: Head | null = null;
  let most = 0;
  for (const { head, row } of heads)
    for (let key = 1; key < position - 1; key++) {
      const weight = row[key] ?? 0;
      if (weight > most) {
        most = weight;
        best = head;
      }
    }
  return best;
}

export interface HeadHabits {
  /** Mean weight on the token itself, on the one before, and on the first, over the rows where each is possible. */
  self: number;
  previous: number;
  first: number;
  /** Mean weight, in a text that repeats, on the tokens that followed the same token earlier; null without repeats. */
  induction: number | null;
}

/** Return a head's mean attention over the tokens of this text. Row 0 can only attend to itself and is left out. */
export function headHabits(row: RowReader, ids: readonly number[]): HeadHabits {
  const text = [scoredKeys(ids)];
  const share = (name: 'previous_token' | 'first_token' | 'induction'): number =>
    meanShare((_, query) => row(query), text, name);
  let self = 0;
  for (let position = 1; position < ids.length; position++) self += row(position)[position] ?? 0;
  const rows = Math.max(1, ids.length - 1);
  const induction = share('induction');
  return {
    self: self / rows,
    // A single token has none before it.
    previous: share('previous_token') || 0,
    first: share('first_token') || 0,
    induction: Number.isNaN(induction) ? null : induction,
  };
}
