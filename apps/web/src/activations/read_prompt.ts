// Reads the text in the box as token ids: by the tokenizer, as kept ids, or as ids written out for a model without one.
import { joinedText } from '../analysis/token_text';
import type { Manifest } from '../contract/generated';
import { unchangedTokens, type PromptEntry } from './prompt_state.svelte';

/** What reading needs of a model; every call may ask the worker. */
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
      /** Ids of the text, without what goes before it; may be longer than the model can read. */
      body: readonly number[];
      /** Whether they are what the tokenizer makes of the text. */
      own: boolean;
      /** False where only the beginning of a very long text was cut into tokens. */
      complete: boolean;
    }
  | { kind: 'not-ids'; text: string; vocab: number };

/** Characters of a text that are always cut into tokens whole, and how many more for each token the model can read. */
const SHORT_TEXT = 20_000;
const CHARACTERS_PER_TOKEN = 64;
/** Tokens beyond the limit that show that the cut in a long text lies beyond what the model reads. */
const MARGIN = 64;

export async function readPrompt(entry: PromptEntry, model: TextModel): Promise<PromptReading> {
  if (!model.hasTokenizer) return writtenIds(entry.text, model.vocab);
  if (entry.ids?.every((id) => id < model.vocab) === true) {
    const kept = await readKept(entry.text, entry.ids, model);
    if (kept !== null) return kept;
  }
  const most = SHORT_TEXT + CHARACTERS_PER_TOKEN * model.contextLength;
  if (entry.text.length > most) {
    const body = await model.encode(entry.text.slice(0, most));
    if (body.length > model.contextLength + MARGIN)
      return { kind: 'ids', body, own: true, complete: false };
  }
  return { kind: 'ids', body: await model.encode(entry.text), own: true, complete: true };
}

/**
 * The kept ids as far as they still spell the text, and the tokenizer's for the rest; null where the text needs no kept
 * ids, because the tokenizer makes the same ones of what is left of theirs.
 */
async function readKept(
  text: string,
  ids: readonly number[],
  model: TextModel,
): Promise<PromptReading | null> {
  const bytes = await model.bytes(ids);
  const { tokens, characters } = unchangedTokens(text, ids.length, (count) =>
    joinedText(bytes.slice(0, count)),
  );
  const kept = ids.slice(0, tokens);
  if (sameIds(await model.encode(text.slice(0, characters)), kept)) return null;
  const rest = characters === text.length ? [] : await model.encode(text.slice(characters));
  return { kind: 'ids', body: [...kept, ...rest], own: false, complete: true };
}

function writtenIds(text: string, vocab: number): PromptReading {
  const words = text.split(/[\s,]+/).filter((word) => word !== '');
  const wrong = words.find((word) => !/^\d{1,9}$/.test(word) || Number(word) >= vocab);
  return wrong === undefined
    ? { kind: 'ids', body: words.map(Number), own: true, complete: true }
    : { kind: 'not-ids', text: wrong, vocab };
}

/** Tokens that the checkpoint's tokenizer puts before every text; none where the bundle does not say. */
export function firstTokensOf(manifest: Manifest): readonly number[] {
  return manifest.tokenizer?.first_tokens ?? [];
}

/** Tokens that end a text. */
export function endTokensOf(manifest: Manifest): readonly number[] {
  const { end_token_ids, eos_token_id } = manifest.model;
  return end_token_ids ?? (typeof eos_token_id === 'number' ? [eos_token_id] : []);
}

/** The text without its last token, where only the end of a long text is cut into tokens. */
export async function withoutLastToken(text: string, model: TextModel): Promise<string> {
  const TAIL = 400;
  let from = Math.max(0, text.length - TAIL);
  const space = text.indexOf(' ', from);
  if (from > 0 && space > 0 && space < text.length - 1) from = space;
  const ids = await model.encode(text.slice(from));
  const bytes = await model.bytes(ids.slice(0, -1));
  return text.slice(0, from) + joinedText(bytes);
}

export function sameIds(a: readonly number[] | undefined, b: readonly number[]): boolean {
  return a?.length === b.length && a.every((id, at) => id === b[at]);
}
