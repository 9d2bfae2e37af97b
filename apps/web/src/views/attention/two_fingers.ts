// Reads a gesture of two fingers on an element: how far they spread and where their middle goes. The caller decides
// what it does. One finger is left to the browser, which scrolls the page with it.

/** CSS pixels from the element's corner. */
export type Place = readonly [x: number, y: number];

export interface TwoFingers {
  /** The second finger is down. */
  readonly begin: (middle: Place) => void;
  /** `spread`: their distance as a multiple of that at the beginning. */
  readonly move: (middle: Place, spread: number) => void;
}

/** An attachment: `{@attach whenTwoFingers({ begin, move })}`. */
export function whenTwoFingers({ begin, move }: TwoFingers) {
  return (element: Element): (() => void) => {
    let first: number | null = null;
    const measure = ({ targetTouches }: TouchEvent): { middle: Place; apart: number } | null => {
      const [a, b, more] = targetTouches;
      if (a === undefined || b === undefined || more !== undefined) return null;
      const { left, top } = element.getBoundingClientRect();
      return {
        middle: [(a.clientX + b.clientX) / 2 - left, (a.clientY + b.clientY) / 2 - top],
        apart: Math.max(1, Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY)),
      };
    };
    const start = (event: TouchEvent): void => {
      const fingers = measure(event);
      first = fingers?.apart ?? null;
      if (fingers === null) return;
      // Else the browser scrolls the page with both.
      event.preventDefault();
      begin(fingers.middle);
    };
    const drag = (event: TouchEvent): void => {
      const fingers = measure(event);
      // The browser is already scrolling where it can't be told not to.
      if (fingers === null || first === null || !event.cancelable) return;
      event.preventDefault();
      move(fingers.middle, fingers.apart / first);
    };
    const end = (event: TouchEvent): void => {
      first = measure(event)?.apart ?? null;
    };
    const ends = new AbortController();
    const { signal } = ends;
    element.addEventListener('touchstart', start as EventListener, { signal, passive: false });
    element.addEventListener('touchmove', drag as EventListener, { signal, passive: false });
    element.addEventListener('touchend', end as EventListener, { signal });
    element.addEventListener('touchcancel', end as EventListener, { signal });
    return () => {
      ends.abort();
    };
  };
}
