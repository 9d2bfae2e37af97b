// Tells an element when it comes into view and leaves it: one observer for all of them.

const reactions = new Map<Element, (visible: boolean) => void>();
let observer: IntersectionObserver | null = null;
/** True for printing: all elements count as visible. */
let everything = false;

/** An attachment: `{@attach whenVisible((visible) => …)}`. Counts as visible from one screen edge away. */
export function whenVisible(react: (visible: boolean) => void) {
  return (element: Element): (() => void) => {
    observer ??= new IntersectionObserver(
      (entries) => {
        for (const entry of entries)
          reactions.get(entry.target)?.(everything || entry.isIntersecting);
      },
      { rootMargin: '160px' },
    );
    reactions.set(element, react);
    observer.observe(element);
    if (everything) react(true);
    return () => {
      observer?.unobserve(element);
      reactions.delete(element);
    };
  };
}

/** Count all elements as visible, wherever they are, or stop doing so. */
export function treatAllAsVisible(all: boolean): void {
  everything = all;
  for (const [element, react] of reactions)
    if (all) react(true);
    else {
      // An observer reports only changes, and once at its start.
      observer?.unobserve(element);
      observer?.observe(element);
    }
}

/** Return the pixels to draw for each CSS pixel: the screen's, and more for paper, which is printed finer. */
export function pixelDensity(): number {
  return everything ? Math.max(3, devicePixelRatio) : devicePixelRatio;
}
