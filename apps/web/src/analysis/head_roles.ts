// Tells what heads do, by their scores: which scores reach their thresholds, and the order and choice of heads by them.
import { SCORE_NAMES, type HeadScores, type ScoreName, type ShareName } from './head_scores';

/** The least share that a head's score must reach to have the role; for entropy the most nats, for a head is focused
 * where it is low. */
export type Thresholds = Readonly<Record<ScoreName, number>>;

export const DEFAULT_THRESHOLDS: Thresholds = {
  previous_token: 0.4,
  first_token: 0.4,
  duplicate_token: 0.4,
  induction: 0.4,
  entropy: 0.5,
};

/** The way in which heads are shown: on which text they are measured, in which order, and which of them. */
export interface HeadsShown {
  /** Null for random tokens where they are measured, else the reader's text. */
  readonly measured: 'repeats' | 'text' | null;
  readonly seed: number;
  /** The score that sorts them; null for the model's order. */
  readonly by: ScoreName | null;
  /** Only heads with one of these roles; none for all. */
  readonly roles: readonly ScoreName[];
  /** Only these heads, as `readHeads` reads them; empty for all. */
  readonly only: string;
  readonly thresholds: Thresholds;
}

export const ALL_HEADS: HeadsShown = {
  measured: null,
  seed: 0,
  by: null,
  roles: [],
  only: '',
  thresholds: DEFAULT_THRESHOLDS,
};

export interface ScoredHead {
  readonly layer: number;
  readonly head: number;
  /** Null where its map is not there. */
  readonly scores: HeadScores | null;
}

/** Return whether a score reaches its threshold; NaN, which no token of the text gave, never does. */
export function reaches(name: ScoreName, score: number, thresholds: Thresholds): boolean {
  return name === 'entropy' ? score <= thresholds.entropy : score >= thresholds[name];
}

/** Return the roles of a head: those of where it looks, the largest share first, then whether it is focused. */
export function rolesOf(scores: HeadScores, thresholds: Thresholds): ScoreName[] {
  return SCORE_NAMES.filter((name) => reaches(name, scores[name], thresholds)).sort(
    (a, b) => Number(a === 'entropy') - Number(b === 'entropy') || scores[b] - scores[a],
  );
}

/** Return the role that a head is labelled with: its largest share that reaches the threshold; null for none. */
export function mainRole(scores: HeadScores, thresholds: Thresholds): ShareName | null {
  const [role] = rolesOf(scores, thresholds);
  return role === undefined || role === 'entropy' ? null : role;
}

/** Return the heads by a score: the largest share, or the lowest entropy, first; those without one last. */
export function sortedBy(heads: readonly ScoredHead[], by: ScoreName): ScoredHead[] {
  const place = ({ scores }: ScoredHead): number => {
    const score = scores?.[by] ?? NaN;
    if (Number.isNaN(score)) return Infinity;
    return by === 'entropy' ? score : -score;
  };
  // Two without a score are Infinity apart by nothing: NaN, which sorts as 0.
  return heads.toSorted((a, b) => place(a) - place(b) || 0);
}

/** Return the heads that have one of these roles; all where none is asked for. */
export function withRoles(
  heads: readonly ScoredHead[],
  roles: readonly ScoreName[],
  thresholds: Thresholds,
): ScoredHead[] {
  if (roles.length === 0) return [...heads];
  return heads.filter(
    ({ scores }) =>
      scores !== null && roles.some((name) => reaches(name, scores[name], thresholds)),
  );
}
