// Widths that drawings follow. Unlike Svelte's own bindings they can be read anew at once, as printing needs it.

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

/** Reports all widths as they are now. */
export function measureNow(): void {
  for (const element of reactions.keys()) report(element);
}

/** How many times larger than the usual 16 pixels the reader has text: what stands beside text must make room for it. */
export function textScale(): number {
  return parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
}
