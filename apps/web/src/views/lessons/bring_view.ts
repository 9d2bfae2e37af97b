// Brings the view of a lesson's step into sight, unfolded, without taking the focus from the lesson.
import { tick } from 'svelte';
import type { Viewing } from '../viewing.svelte';

/** Unfold a view and scroll to it; one that this model lacks does nothing. */
export async function bringViewToSight(id: string, viewing: Viewing): Promise<void> {
  if (viewing.alone !== null && viewing.alone !== id) viewing.alone = null;
  if (viewing.folded.includes(id)) viewing.toggleFold(id);
  await tick();
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  document
    .getElementById(id)
    ?.scrollIntoView({ block: 'start', behavior: calm ? 'instant' : 'smooth' });
}

const MARK = 'data-lesson-view';

/** Mark a view as the one that a lesson speaks of. Returns a function that takes the mark away. */
export function markView(id: string): () => void {
  const element = document.getElementById(id);
  element?.setAttribute(MARK, '');
  return () => {
    element?.removeAttribute(MARK);
  };
}
