// Reads the text in the box as token ids: by the tokenizer, as kept ids, or as ids written out for a model without one.
import { joinedText } from '../analysis/token_text';
import type { Manifest } from '../contract/generated';
import { mergeStoredIds, sameIds } from './stored_ids';
import type { PromptEntry } from './prompt_state.svelte';

/** The parts of a model that reading a text needs; every call may ask the worker. */
export interface TextModel {
  readonly hasTokenizer: boolean;
  readonly vocab: number;
  readonly contextLength: number;
  encode(text: string): Promise<number[]>;
  /** The bytes of each id. */
  bytes(ids: readonly number[]): Promise<readonly Uint8Array[]>;
}

export type PromptReading =
  | {
      kind: 'ids';
      /** Ids of the text, without the first tokens; may be longer than the model can read. */
      body: readonly number[];
      /** True where they are the tokenizer's ids of the text. */
      own: boolean;
      /** False where only the beginning of a very long text was cut into tokens. */
      complete: boolean;
    }
  | { kind: 'not-ids'; text: string; vocab: number };

/** Texts of at most this many characters are always tokenized whole; longer ones up to a limit per token of context. */
const SHORT_TEXT = 20_000;
const CHARACTERS_PER_TOKEN = 64;
/** Tokens beyond the context limit that prove that the cut of a long text lies past what the model reads. */
const MARGIN = 64;

export async function readPrompt(entry: PromptEntry, model: TextModel): Promise<PromptReading> {
  if (!model.hasTokenizer) return writtenIds(entry.text, model.vocab);
  const most = SHORT_TEXT + CHARACTERS_PER_TOKEN * model.contextLength;
  if (entry.text.length > most) {
    const body = await model.encode(entry.text.slice(0, most));
    if (body.length > model.contextLength + MARGIN)
      return { kind: 'ids', body, own: true, complete: false };
  }
  const tokenizers = await model.encode(entry.text);
  const kept = entry.ids ?? [];
  if (kept.length === 0 || kept.some((id) => id >= model.vocab))
    return { kind: 'ids', body: tokenizers, own: true, complete: true };
  const spelt = await model.bytes([...kept, ...tokenizers]);
  const body = mergeStoredIds(
    { ids: kept, bytes: spelt.slice(0, kept.length) },
    { ids: tokenizers, bytes: spelt.slice(kept.length) },
  );
  return { kind: 'ids', body, own: sameIds(body, tokenizers), complete: true };
}

function writtenIds(text: string, vocab: number): PromptReading {
  const words = text.split(/[\s,]+/).filter((word) => word !== '');
  const wrong = words.find((word) => !/^\d{1,9}$/.test(word) || Number(word) >= vocab);
  return wrong === undefined
    ? { kind: 'ids', body: words.map(Number), own: true, complete: true }
    : { kind: 'not-ids', text: wrong, vocab };
}

/** Return the tokens that end a text. */
export function endTokensOf(manifest: Manifest): readonly number[] {
  const { end_token_ids, eos_token_id } = manifest.model;
  return end_token_ids ?? (typeof eos_token_id === 'number' ? [eos_token_id] : []);
}

/** Texts up to this much shorter are tried where a removed token does not spell the end of the text. */
const MAX_TRIES = 100;

/**
 * Return the reader's own text after its tokens changed. Only the end that the changed tokens spell is replaced: a
 * tokenizer that lowers letters, puts a space first or does not know a word must not rewrite the text before it.
 */
export async function textAfter(
  text: string,
  before: readonly number[],
  after: readonly number[],
  model: TextModel,
): Promise<{ text: string; own: boolean }> {
  if (!model.hasTokenizer) return { text: after.join(' '), own: true };
  const spelt = await model.bytes([...before, ...after]);
  const was = joinedText(spelt.slice(0, before.length));
  const is = joinedText(spelt.slice(before.length));
  const ended = withOtherEnd(text, was, is);
  const candidates = [ended ?? is];
  // A tokenizer that puts a space before every text spells it with the first token.
  if (text === '' && is.startsWith(' ')) candidates.unshift(is.slice(1));
  if (ended === null && after.length < before.length)
    for (let shorter = 1; shorter <= Math.min(MAX_TRIES, text.length); shorter++)
      candidates.splice(-1, 0, text.slice(0, text.length - shorter));
  for (const candidate of candidates)
    if (sameIds(await model.encode(candidate), after)) return { text: candidate, own: true };
  return { text: ended ?? is, own: false };
}

/** Return `text` with its end changed as `was` became `is`; null where `text` does not end as `was` does. */
function withOtherEnd(text: string, was: string, is: string): string | null {
  let same = 0;
  while (same < was.length && was[same] === is[same]) same++;
  // Never between the two halves of a surrogate pair.
  if (/[\ud800-\udbff]/.test(was[same - 1] ?? '')) same--;
  const end = was.slice(same);
  return text.endsWith(end) ? text.slice(0, text.length - end.length) + is.slice(same) : null;
}

/** Return the text without its last token; only the end of a long text is tokenized for that. */
export async function withoutLastToken(text: string, model: TextModel): Promise<string> {
  const TAIL = 400;
  let from = Math.max(0, text.length - TAIL);
  const space = text.indexOf(' ', from);
  if (from > 0 && space > 0 && space < text.length - 1) from = space;
  const tail = text.slice(from);
  const ids = await model.encode(tail);
  return text.slice(0, from) + (await textAfter(tail, ids, ids.slice(0, -1), model)).text;
}
