// Prepares the page for paper: in one column and light colours, with every view drawn, seen before or not.
//
// A browser prints as soon as `beforeprint` is over, so nothing may wait for a frame or an observer:
// widths are measured, and what is queued is drawn, again and again until nothing is left.
import { flushSync } from 'svelte';
import { drawQueued } from '../charts/draw_queue';
import { measureNow } from '../charts/measured_width';
import { treatAllAsVisible } from '../charts/visibility';

/** Maximum number of rounds: views lie within views, and lists grow by a piece per round. */
const MAX_ROUNDS = 500;

let now = $state(false);
let opened: HTMLDetailsElement[] = [];

export const printing = {
  /** True while the page is laid out for paper. */
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
  for (let round = 0; round < MAX_ROUNDS; round++) {
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

/** Follow the browser's printing until the returned function is called. */
export function followPrinting(): () => void {
  const ends = new AbortController();
  const { signal } = ends;
  addEventListener('beforeprint', prepare, { signal });
  addEventListener('afterprint', restore, { signal });
  // For print previews, and for browsers that send no events.
  const paper = matchMedia('print');
  const change = (): void => {
    (paper.matches ? prepare : restore)();
  };
  paper.addEventListener('change', change, { signal });
  return () => {
    ends.abort();
  };
}
