// Sets of heads as a reader writes them: "0-3, 5.2" is all heads of layers 0 to 3, and head 2 of layer 5.

export type HeadRef = readonly [layer: number, head: number];

export interface HeadSizes {
  readonly layers: number;
  readonly heads: number;
}

/** The part of a text that names no heads of the model. */
export interface UnreadHeads {
  readonly got: string;
}

/** Return the heads that a text names, in the model's order, each once; all for an empty text. */
export function readHeads(text: string, { layers, heads }: HeadSizes): HeadRef[] | UnreadHeads {
  const parts = text
    .split(/[,，、\s]+/u)
    .map((part) => part.trim())
    .filter((part) => part !== '');
  const chosen = new Set<number>();
  for (const part of parts.length === 0 ? [`0-${layers - 1}`] : parts) {
    const found = /^(\d{1,4})(?:[-–](\d{1,4})|\.(\d{1,4}))?$/u.exec(part);
    const first = Number(found?.[1] ?? NaN);
    const last = Number(found?.[2] ?? first);
    const head = found?.[3] === undefined ? null : Number(found[3]);
    const isThere = first <= last && last < layers && (head ?? 0) < heads;
    if (found === null || !isThere) return { got: part };
    for (let layer = first; layer <= last; layer++)
      for (let each = 0; each < heads; each++)
        if (head === null || head === each) chosen.add(layer * heads + each);
  }
  return [...chosen].sort((a, b) => a - b).map((at) => [Math.floor(at / heads), at % heads]);
}

/** Write heads as `readHeads` reads them: whole layers as ranges, the others one by one; empty for all. */
export function writeHeads(chosen: readonly HeadRef[], { layers, heads }: HeadSizes): string {
  if (chosen.length === layers * heads) return '';
  const parts: string[] = [];
  let open: [first: number, last: number] | null = null;
  const close = (): void => {
    if (open !== null) parts.push(open[0] === open[1] ? `${open[0]}` : open.join('-'));
    open = null;
  };
  for (let layer = 0; layer < layers; layer++) {
    const of = chosen.filter((head) => head[0] === layer);
    if (of.length === heads) {
      open = open === null ? [layer, layer] : [open[0], layer];
      continue;
    }
    close();
    parts.push(...of.map((head) => head.join('.')));
  }
  close();
  return parts.join(', ');
}
