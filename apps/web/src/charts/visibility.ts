// Tells an element when it comes into view and leaves it: one observer for all of them.

const reactions = new WeakMap<Element, (visible: boolean) => void>();
let observer: IntersectionObserver | null = null;

/** An attachment: `{@attach whenVisible((visible) => …)}`. Counts as visible from one screen edge away. */
export function whenVisible(react: (visible: boolean) => void) {
  return (element: Element): (() => void) => {
    observer ??= new IntersectionObserver(
      (entries) => {
        for (const entry of entries) reactions.get(entry.target)?.(entry.isIntersecting);
      },
      { rootMargin: '160px' },
    );
    reactions.set(element, react);
    observer.observe(element);
    return () => {
      observer?.unobserve(element);
      reactions.delete(element);
    };
  };
}
