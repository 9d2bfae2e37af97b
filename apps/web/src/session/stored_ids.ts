// Merges stored token ids with the tokenizer's ids of a text that may have changed since. No model is asked.
import { joinedText } from '../analysis/token_text';

export interface SpeltIds {
  readonly ids: readonly number[];
  /** The bytes of each id. */
  readonly bytes: readonly Uint8Array[];
}

/**
 * Keep stored ids at the beginning and at the end as far as they spell the same as the tokenizer's, and take the
 * tokenizer's ids between two places where both sequences have a token boundary. Spellings are compared, not the text:
 * a tokenizer may lower letters or put a space first, and the text has a replacement character for a partial one.
 */
export function mergeStoredIds(kept: SpeltIds, own: SpeltIds): readonly number[] {
  const keptText = joinedText(kept.bytes);
  const ownText = joinedText(own.bytes);
  const keptCuts = cutsOf(kept.bytes);
  const ownCuts = cutsOf(own.bytes);

  const ownAt = new Map<number, number>();
  for (const [tokens, cut] of ownCuts.entries()) if (cut.whole) ownAt.set(cut.length, tokens);
  const sameStart = commonStart(keptText, ownText);
  let start = { kept: 0, own: 0 };
  for (const [tokens, { length }] of keptCuts.entries()) {
    const there = ownAt.get(length);
    if (length <= sameStart && there !== undefined) start = { kept: tokens, own: there };
  }

  const from = keptCuts[start.kept]?.length ?? 0;
  const room = Math.min(keptText.length, ownText.length) - from;
  const sameEnd = Math.min(room, commonEnd(keptText, ownText));
  let end = { kept: kept.ids.length, own: own.ids.length };
  for (let tokens = kept.ids.length; tokens >= start.kept; tokens--) {
    const cut = keptCuts[tokens];
    if (!cut?.whole) continue;
    const left = keptText.length - cut.length;
    if (left > sameEnd) break;
    const there = ownAt.get(ownText.length - left);
    if (there !== undefined && there >= start.own) end = { kept: tokens, own: there };
  }

  const merged = [
    ...kept.ids.slice(0, start.kept),
    ...own.ids.slice(start.own, end.own),
    ...kept.ids.slice(end.kept),
  ];
  const bytes = [
    ...kept.bytes.slice(0, start.kept),
    ...own.bytes.slice(start.own, end.own),
    ...kept.bytes.slice(end.kept),
  ];
  return joinedText(bytes) === ownText ? merged : own.ids;
}

interface Cut {
  /** Length of what the tokens before it spell. */
  readonly length: number;
  /** True where the boundary does not split a character. */
  readonly whole: boolean;
}

/** Return the boundaries before, between and after the tokens. */
function cutsOf(parts: readonly Uint8Array[]): Cut[] {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const cuts: Cut[] = [{ length: 0, whole: true }];
  let length = 0;
  let tail: number[] = [];
  for (const part of parts) {
    length += decoder.decode(part, { stream: true }).length;
    tail = [...tail, ...part.slice(-3)].slice(-3);
    const whole = !endsInside(tail);
    // The beginning of a character is one replacement character.
    cuts.push({ length: whole ? length : length + 1, whole });
  }
  return cuts;
}

function endsInside(tail: readonly number[]): boolean {
  return [1, 2, 3].some((count) => {
    if (count > tail.length) return false;
    const bytes = Uint8Array.from(tail.slice(-count));
    return new TextDecoder().decode(bytes, { stream: true }) === '';
  });
}

function commonStart(a: string, b: string): number {
  let at = 0;
  while (at < a.length && at < b.length && a[at] === b[at]) at++;
  return at;
}

function commonEnd(a: string, b: string): number {
  let count = 0;
  while (count < a.length && count < b.length && a.at(-1 - count) === b.at(-1 - count)) count++;
  return count;
}

export function sameIds(a: readonly number[] | undefined, b: readonly number[]): boolean {
  return a?.length === b.length && a.every((id, at) => id === b[at]);
}
