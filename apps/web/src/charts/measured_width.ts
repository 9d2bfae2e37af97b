// Measures the widths that drawings follow. Unlike Svelte's own bindings it can measure again at once, for printing.

const reactions = new Map<Element, (width: number) => void>();
let observer: ResizeObserver | null = null;

function report(element: Element): void {
  reactions.get(element)?.(element.clientWidth);
}

/** An attachment: `{@attach whenSized((width) => …)}`, CSS pixels inside the element's border. */
export function whenSized(react: (width: number) => void) {
  return (element: Element): (() => void) => {
    observer ??= new ResizeObserver((entries) => {
      for (const { target } of entries) report(target);
    });
    reactions.set(element, react);
    observer.observe(element);
    return () => {
      observer?.unobserve(element);
      reactions.delete(element);
    };
  };
}

/** Report all widths as they are now. */
export function measureNow(): void {
  for (const element of reactions.keys()) report(element);
}

/** Return the reader's text size as a multiple of the usual 16 pixels: layouts beside text must make room for it. */
export function textScale(): number {
  return parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
}
