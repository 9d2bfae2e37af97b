// How the upright headings of the table "Inside" stand, measured in the page itself, in whichever browser runs it.

export interface Heading {
  readonly text: string;
  /** Of the whole heading. */
  readonly box: { left: number; right: number; top: number; bottom: number };
  /** From the middle of the first character to that of the last. */
  readonly across: number;
  readonly upwards: number;
}

/** Runs in the page, so it may use nothing of this file. */
export function readHeadings(): Heading[] {
  return Array.from(document.querySelectorAll<HTMLElement>('.panel thead th'), (cell) => {
    const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    const nodes: Text[] = [];
    while (walker.nextNode()) {
      const node = walker.currentNode as Text;
      if (node.data.trim() !== '') nodes.push(node);
    }
    const middle = (node: Text | undefined, at: number): { x: number; y: number } => {
      const range = document.createRange();
      if (node !== undefined) {
        range.setStart(node, at);
        range.setEnd(node, at + 1);
      }
      const { x, y, width, height } = range.getBoundingClientRect();
      return { x: x + width / 2, y: y + height / 2 };
    };
    const last = nodes.at(-1);
    const from = middle(nodes[0], 0);
    const to = middle(last, (last?.data.trimEnd().length ?? 1) - 1);
    const whole = document.createRange();
    whole.selectNodeContents(cell);
    const { left, right, top, bottom } = whole.getBoundingClientRect();
    return {
      text: cell.textContent.trim(),
      box: { left, right, top, bottom },
      across: to.x - from.x,
      upwards: from.y - to.y,
    };
  });
}

/** What is wrong with how they stand; nothing where each reads from bottom to top, clear of the next. */
export function faultsOf(headings: readonly Heading[]): string[] {
  const faults = headings.flatMap(({ text, across, upwards }) => [
    ...(Math.abs(across) > 2 ? [`${text} runs ${across} px to the side`] : []),
    ...(text.length > 1 && upwards < 5 ? [`${text} runs ${upwards} px upwards`] : []),
  ]);
  const apart = headings.slice(1).flatMap(({ text, box }, at) => {
    const before = headings[at];
    if (before === undefined || box.left >= before.box.right - 0.5) return [];
    return [`${text} stands over ${before.text}`];
  });
  return [...faults, ...apart];
}
