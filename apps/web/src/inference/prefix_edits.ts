// The interventions of a text as the same text's first tokens take them: positions behind these are dropped, and those
// that count from the text's end are counted from its start.
import type { Edit, Positions } from './edits';
import { isEdit, type Intervention, type Interventions } from './interventions';

/** Return what interventions of a text of `tokens` tokens change of its first `kept`. */
export function prefixEdits(
  interventions: Interventions,
  tokens: number,
  kept: number,
): Interventions {
  if (tokens === kept) return interventions;
  return interventions.flatMap((entry): Intervention[] => {
    if (isEdit(entry)) {
      const edit = prefixEdit(entry, tokens, kept);
      return edit === null ? [] : [edit];
    }
    const { positions } = entry;
    return positions === null || positions.end <= kept ? [entry] : [];
  });
}

const fields = ['position', 'query', 'key'] as const;

function prefixEdit(edit: Edit, tokens: number, kept: number): Edit | null {
  const changed: Partial<Record<(typeof fields)[number], Positions>> = {};
  for (const field of fields) {
    const given = (edit as Partial<Record<(typeof fields)[number], Positions>>)[field];
    if (given === undefined) continue;
    const within = prefixPositions(given, tokens, kept);
    if (within === null) return null;
    changed[field] = within;
  }
  return { ...edit, ...changed };
}

/** Return positions counted from the start, without those from `kept` on; null where none is left. */
function prefixPositions(given: Positions, tokens: number, kept: number): Positions | null {
  const counted = (at: number): number => (at < 0 ? tokens + at : at);
  if (typeof given === 'object' && !('length' in given)) {
    const start = Math.max(0, counted(given.start ?? 0));
    const stop = Math.min(kept, counted(given.stop ?? kept));
    return start < stop ? { start, stop } : null;
  }
  const all = typeof given === 'number' ? [given] : given;
  const within = all.map(counted).filter((at) => at >= 0 && at < kept);
  return within.length === 0 ? null : within;
}
