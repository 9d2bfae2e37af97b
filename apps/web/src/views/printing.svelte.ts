// Prepares the page for paper: in one column and light colours, with every view drawn, seen before or not.
//
// A browser prints as soon as `beforeprint` is over, so nothing may wait for a frame or an observer:
// widths are measured, and what is queued is drawn, again and again until nothing is left.
import { flushSync } from 'svelte';
import { drawQueued } from '../charts/draw_queue';
import { measureNow } from '../charts/measured_width';
import { treatAllAsVisible } from '../charts/visibility';

/** Views within views, and lists that grow a piece a turn. */
const MOST_ROUNDS = 500;

let now = $state(false);
let opened: HTMLDetailsElement[] = [];

export const printing = {
  /** The page is laid out for paper. */
  get now(): boolean {
    return now;
  },
};

function prepare(): void {
  if (now) return;
  document.documentElement.classList.add('printing');
  opened = Array.from(document.querySelectorAll<HTMLDetailsElement>('details:not([open])'));
  for (const details of opened) details.open = true;
  flushSync(() => {
    now = true;
  });
  treatAllAsVisible(true);
  for (let round = 0; round < MOST_ROUNDS; round++) {
    flushSync(measureNow);
    if (!drawQueued()) break;
  }
}

function restore(): void {
  if (!now) return;
  document.documentElement.classList.remove('printing');
  for (const details of opened) details.open = false;
  opened = [];
  treatAllAsVisible(false);
  flushSync(() => {
    now = false;
  });
}

/** Follows the browser's printing until the function that it returns is called. */
export function followPrinting(): () => void {
  const ends = new AbortController();
  const { signal } = ends;
  addEventListener('beforeprint', prepare, { signal });
  addEventListener('afterprint', restore, { signal });
  // Previews, and browsers that send no events.
  const paper = matchMedia('print');
  const change = (): void => {
    (paper.matches ? prepare : restore)();
  };
  paper.addEventListener('change', change, { signal });
  return () => {
    ends.abort();
  };
}
