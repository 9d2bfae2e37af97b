// Brings the view of a lesson's step into sight, unfolded, without taking the focus from the lesson.
import { tick } from 'svelte';
import type { Viewing } from '../viewing.svelte';

/** Unfold a view and scroll to it, unless all of it is in sight; one that this model lacks does nothing. */
export async function bringViewToSight(id: string, viewing: Viewing): Promise<void> {
  if (viewing.alone !== null && viewing.alone !== id) viewing.alone = null;
  if (viewing.folded.includes(id)) viewing.toggleFold(id);
  await tick();
  const view = document.getElementById(id);
  if (view === null) return;
  const { top, bottom } = view.getBoundingClientRect();
  if (top >= 0 && bottom <= bottomInSight()) return;
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  // Views beside the text scroll by themselves there.
  const isBeside = getComputedStyle(view.closest('.rail') ?? view).position === 'sticky';
  view.scrollIntoView({
    block: isBeside ? 'nearest' : 'start',
    behavior: calm ? 'instant' : 'smooth',
  });
}

/** Return where the window ends, or the lesson begins that lies over its foot, in CSS pixels. */
function bottomInSight(): number {
  const lesson = document.querySelector('[data-testid=lesson]');
  const isOver = lesson !== null && getComputedStyle(lesson).position === 'fixed';
  return isOver ? lesson.getBoundingClientRect().top : innerHeight;
}

/** The events of a reader's scrolling, on the window. */
const SCROLLING = ['wheel', 'touchmove', 'pointerdown', 'keydown'];

/**
 * Scroll to a view again when those above it grow as they are drawn, until the reader scrolls. Returns what ends it.
 */
function holdInSight(view: Element): () => void {
  const main = view.closest('main');
  if (main === null) return () => undefined;
  let isFirst = true;
  const grown = new ResizeObserver(() => {
    // An observer reports once at its start.
    const { top, bottom } = view.getBoundingClientRect();
    if (!isFirst && (bottom <= 0 || top >= bottomInSight() / 2))
      view.scrollIntoView({ block: 'start', behavior: 'instant' });
    isFirst = false;
  });
  grown.observe(main);
  const letGo = (): void => {
    grown.disconnect();
    for (const hand of SCROLLING) removeEventListener(hand, letGo);
  };
  for (const hand of SCROLLING) addEventListener(hand, letGo, { once: true, passive: true });
  return letGo;
}

/** Scroll the view's grids of tokens to the text's end, of which lessons speak. */
function showLastTokens(view: Element): void {
  for (const grid of view.querySelectorAll('[role=grid]')) grid.scrollLeft = grid.scrollWidth;
}

const MARK = 'data-lesson-view';
const HANDS = ['pointermove', 'pointerdown', 'wheel', 'keydown'];

/**
 * Mark a view as the one that a lesson speaks of, and keep it in sight and its grids at the text's end while they are
 * drawn, until the reader takes them in hand. Returns a function that takes the mark away.
 */
export function markView(id: string): () => void {
  const view = document.getElementById(id);
  if (view === null) return () => undefined;
  view.setAttribute(MARK, '');
  showLastTokens(view);
  const scrollFreely = holdInSight(view);
  const drawn = new MutationObserver(() => {
    showLastTokens(view);
  });
  drawn.observe(view, { childList: true, subtree: true });
  const letGo = (): void => {
    drawn.disconnect();
  };
  for (const hand of HANDS) view.addEventListener(hand, letGo, { once: true, passive: true });
  return () => {
    letGo();
    scrollFreely();
    for (const hand of HANDS) view.removeEventListener(hand, letGo);
    view.removeAttribute(MARK);
  };
}
