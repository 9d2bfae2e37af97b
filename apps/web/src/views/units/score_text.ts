// A score of a unit as text: shares in percent, the rest as numbers.
import type { Score } from '../../bundle/dashboards/scores';
import { percent, signed } from '../../i18n/number_format';

export function scoreText(score: Score, value: number): string {
  return score === 'firing' || score === 'positive' ? percent(value) : signed(value);
}
