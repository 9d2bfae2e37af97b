// Checks the page's tokenizer on this device: it must encode the bundle's test texts to the ids that transformers gave.
import type { TextTokenizer } from './text_tokenizer';

/** The reason that text cannot be split into tokens here. */
export type TokenizerProblem =
  /** The tokenizer has a part that the page does not support, or cannot be read. */
  | { kind: 'unsupported'; detail: string }
  /** The page gives other tokens for `text` than transformers; `got` is null where encoding fails. */
  | { kind: 'differs'; text: string; expected: readonly number[]; got: readonly number[] | null };

interface TokenizerCase {
  text: string;
  ids: readonly number[];
}

const MAX_BYTES = 65_536;
const MAX_CASES = 200;

/** Return the first difference; null where all texts give the ids of the file. `file` is `tokenizer_cases.json`. */
export function checkCases(tokenizer: TextTokenizer, file: Uint8Array): TokenizerProblem | null {
  const cases = parseCases(file);
  if (cases === null) return { kind: 'unsupported', detail: 'tokenizer_cases.json cannot be read' };
  for (const { text, ids } of cases) {
    const got = idsOf(tokenizer, text);
    if (got?.length !== ids.length || got.some((id, at) => id !== ids[at]))
      return { kind: 'differs', text, expected: ids, got };
  }
  return null;
}

function idsOf(tokenizer: TextTokenizer, text: string): number[] | null {
  try {
    return tokenizer.encode(text).map(({ id }) => id);
  } catch {
    return null;
  }
}

function parseCases(file: Uint8Array): readonly TokenizerCase[] | null {
  if (file.length > MAX_BYTES) return null;
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(file));
  } catch {
    return null;
  }
  if (typeof parsed !== 'object' || parsed === null || !('cases' in parsed)) return null;
  const { cases } = parsed;
  if (!Array.isArray(cases) || cases.length > MAX_CASES || !cases.every(isCase)) return null;
  return cases;
}

function isCase(value: unknown): value is TokenizerCase {
  if (typeof value !== 'object' || value === null) return false;
  const { text, ids } = value as Partial<TokenizerCase>;
  return typeof text === 'string' && Array.isArray(ids) && ids.every((id) => Number.isInteger(id));
}
