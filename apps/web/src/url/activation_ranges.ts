// Writes names of activations for a link as layers by kind, `attn_probs:0-5,8;final_norm`, and reads them back.
import { activationName, activationTable, parseActivationName } from '../contract/activation_table';
import type { ActivationKind } from '../contract/generated';

/** Receives each part of a text that could not be read, where the rest was. */
export type Ignore = (part: string) => void;

/** Names that a link may list: more than any model has, and few enough for a hostile link to cost nothing. */
const MAX_NAMES = 20_000;

export function packNames(names: readonly string[]): string {
  const layers = new Map<ActivationKind, number[]>();
  for (const name of names) {
    const parsed = parseActivationName(name);
    if (parsed === null || parsed.kind === 'logits') continue;
    const list = layers.get(parsed.kind) ?? [];
    if (parsed.layer !== null) list.push(parsed.layer);
    layers.set(parsed.kind, list);
  }
  return [...layers]
    .map(([kind, list]) => (list.length === 0 ? kind : `${kind}:${ranges(list)}`))
    .join(';');
}

function ranges(layers: number[]): string {
  const runs: [number, number][] = [];
  for (const layer of layers.sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last?.[1] === layer - 1) last[1] = layer;
    else runs.push([layer, layer]);
  }
  return runs.map(([from, to]) => (from === to ? String(from) : `${from}-${to}`)).join(',');
}

/** Return the names, none for an empty text; null where not one can be read. */
export function expandNames(text: string, ignore: Ignore): string[] | null {
  if (text === '') return [];
  const names: string[] = [];
  const unread: string[] = [];
  for (const part of text.split(';')) {
    const [kind, list] = part.split(':');
    const entry = activationTable.find((candidate) => candidate.kind === kind);
    // A name of the contract says the same of one layer.
    if (parseActivationName(part) !== null && names.length < MAX_NAMES) names.push(part);
    else if (entry === undefined) unread.push(part);
    else if (!entry.per_layer) names.push(activationName(entry.kind, null));
    else
      for (const run of (list ?? '').split(',')) {
        const ends = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(run);
        const from = Number(ends?.[1]);
        const to = Number(ends?.[2] ?? ends?.[1]);
        if (!(from <= to) || names.length + to - from >= MAX_NAMES)
          unread.push(`${entry.kind}:${run}`);
        else
          for (let layer = from; layer <= to; layer++)
            names.push(activationName(entry.kind, layer));
      }
  }
  if (names.length === 0) return null;
  unread.forEach(ignore);
  return [...new Set(names)];
}
