// Writes into a link which heads are shown, and how attention is: short words joined by underscores.
import type { AttentionShown, MapKind, MapOver } from '../analysis/attention_maps';
import type { HeadsShown, Thresholds } from '../analysis/head_roles';
import { SCORE_NAMES, type ScoreName } from '../analysis/head_scores';

const KIND_WORDS: Readonly<Record<MapKind, string>> = {
  attn_probs: 'probs',
  attn_scores: 'scores',
  weighted: 'weighted',
};
const SCORE_WORDS: Readonly<Record<ScoreName, string>> = {
  induction: 'induction',
  duplicate_token: 'same',
  previous_token: 'previous',
  first_token: 'first',
  entropy: 'focus',
};
const OVERS: readonly MapOver[] = ['head', 'mean', 'max'];
/** Nats: far more than the entropy of any text that a model reads. */
const MOST_ENTROPY = 20;

/** Return the heads of a set in a link as text that `readHeads` reads; null where a part is none. */
function setOf(parts: readonly string[]): string | null {
  return parts.every((part) => /^\d{1,4}(-\d{1,4}|\.\d{1,4})?$/.test(part))
    ? parts.join(', ')
    : null;
}

function setParts(set: string): string[] {
  const parts = set.split(/[^\d.-]+/).filter((part) => part !== '');
  return setOf(parts) === null ? [] : parts;
}

function scoreOf(word: string): ScoreName | undefined {
  return SCORE_NAMES.find((name) => SCORE_WORDS[name] === word);
}

/** `KIND_OVER_COLOURS` and the parts of the set: `weighted_mean_log_0-3_5.2`. */
export function attentionOf(text: string): AttentionShown | null {
  const [kindWord, overWord, colours, ...parts] = text.split('_');
  const kind = (Object.keys(KIND_WORDS) as MapKind[]).find((each) => KIND_WORDS[each] === kindWord);
  const over = OVERS.find((each) => each === overWord);
  const set = setOf(parts);
  if (kind === undefined || over === undefined || set === null) return null;
  if (colours !== 'log' && colours !== 'plain') return null;
  return { kind, over, log: colours === 'log', set };
}

export function attentionText({ kind, over, log, set }: AttentionShown): string {
  return [KIND_WORDS[kind], over, log ? 'log' : 'plain', ...setParts(set)].join('_');
}

/**
 * `MEASURED_SEED_ORDER_ROLES_THRESHOLDS` and the parts of the set; thresholds in thousandths, in the order of scores.
 */
export function headsOf(text: string): HeadsShown | null {
  const [measured, seedText = '', order = '', roleWords = '', limits = '', ...parts] =
    text.split('_');
  if (measured !== 'repeats' && measured !== 'text' && measured !== 'auto') return null;
  const by = order === 'model' ? null : scoreOf(order);
  const roles = roleWords === 'all' ? [] : roleWords.split('.').map(scoreOf);
  const thresholds = thresholdsOf(limits);
  const only = setOf(parts);
  if (!/^\d{1,6}$/.test(seedText) || by === undefined || thresholds === null || only === null)
    return null;
  const known = roles.filter((role) => role !== undefined);
  if (known.length < roles.length) return null;
  return {
    measured: measured === 'auto' ? null : measured,
    seed: Number(seedText),
    by,
    roles: [...new Set(known)],
    thresholds,
    only,
  };
}

export function headsText({ measured, seed, by, roles, thresholds, only }: HeadsShown): string {
  return [
    measured ?? 'auto',
    seed,
    by === null ? 'model' : SCORE_WORDS[by],
    roles.length === 0 ? 'all' : roles.map((role) => SCORE_WORDS[role]).join('.'),
    SCORE_NAMES.map((name) => Math.round(thresholds[name] * 1000)).join('.'),
    ...setParts(only),
  ].join('_');
}

function thresholdsOf(text: string): Thresholds | null {
  const limits = text
    .split('.')
    .map((part) => (/^\d{1,5}$/.test(part) ? Number(part) / 1000 : NaN));
  const fits = (name: ScoreName, limit: number): boolean =>
    limit <= (name === 'entropy' ? MOST_ENTROPY : 1);
  if (limits.length !== SCORE_NAMES.length) return null;
  if (!SCORE_NAMES.every((name, at) => fits(name, limits[at] ?? NaN))) return null;
  return Object.fromEntries(SCORE_NAMES.map((name, at) => [name, limits[at]])) as Thresholds;
}
