// When what was drawn may be gone or no longer fit, although nothing that it shows has changed. What is drawn then is the
// caller's matter.
import { createSubscriber } from 'svelte/reactivity';

/**
 * The page returns: a browser may have dropped the pictures of a tab that slept, of a page that was
 * kept for the back button, or of all pages with its GPU process, and not every one says so of each.
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

/** Read in an effect that draws: it then runs again when all that was drawn may be gone. */
export function followPage(): void {
  subscribe();
}

/** An attachment: `{@attach whenRestored(() => …)}`. The browser took this canvas's memory, and now gives it back, blank. */
export function whenRestored(draw: () => void) {
  return (canvas: HTMLCanvasElement): (() => void) => {
    canvas.addEventListener('contextrestored', draw);
    return () => {
      canvas.removeEventListener('contextrestored', draw);
    };
  };
}
