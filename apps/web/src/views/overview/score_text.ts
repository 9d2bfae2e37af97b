// A head's score as text: a share as a percentage, entropy in nats.
import type { HeadScores, ScoreName } from '../../analysis/head_scores';
import { information, percent } from '../../i18n/number_format';

/** Return a score with its unit; a dash where no token of the text gave it. */
export function scoreText(name: ScoreName, scores: HeadScores | null): string {
  const value = scores?.[name] ?? NaN;
  if (Number.isNaN(value)) return '–';
  return name === 'entropy' ? `${information(value)}\u202fnat` : percent(value);
}

/** Return a share in two digits, for a label in a picture: 97%, 4%. */
export function roundText(share: number): string {
  return `${Math.round(share * 100)}%`;
}
