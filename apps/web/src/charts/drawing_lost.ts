// Tells when drawings may be lost or no longer fit the screen, although their values have not changed. The callers draw
// again.
import { createSubscriber } from 'svelte/reactivity';

/**
 * Reacts to the page's return: a browser may have dropped the pictures of a sleeping tab, of a page that was
 * kept for the back button, or of all pages with its GPU process, and not every browser reports each case.
 * The screen's density changes too when a window moves to another screen or is zoomed.
 */
const subscribe = createSubscriber((changed) => {
  const ends = new AbortController();
  const { signal } = ends;
  const whenSeen = (): void => {
    if (document.visibilityState === 'visible') changed();
  };
  document.addEventListener('visibilitychange', whenSeen, { signal });
  document.addEventListener('resume', changed, { signal });
  addEventListener('pageshow', changed, { signal });
  const watchDensity = (): void => {
    matchMedia(`(resolution: ${devicePixelRatio}dppx)`).addEventListener(
      'change',
      () => {
        watchDensity();
        changed();
      },
      { once: true, signal },
    );
  };
  watchDensity();
  return () => {
    ends.abort();
  };
});

/** Make the effect that calls this run again when all drawings may be lost. */
export function followPage(): void {
  subscribe();
}

/** An attachment: `{@attach whenRestored(() => …)}`. Calls `draw` when the browser restores a lost canvas, blank. */
export function whenRestored(draw: () => void) {
  return (canvas: HTMLCanvasElement): (() => void) => {
    canvas.addEventListener('contextrestored', draw);
    return () => {
      canvas.removeEventListener('contextrestored', draw);
    };
  };
}
