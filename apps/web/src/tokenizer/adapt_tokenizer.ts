// Rewrites a tokenizer.json for the library that the page uses. Parts that this library lacks, or that it handles
// differently from the Rust library, are replaced by parts that both handle alike; where there is no replacement, the
// tokenizer is refused. tests/python/test_page_tokenizer.py compares the results.

type Part = Readonly<Record<string, unknown>>;

/** Thrown where the page's library would split a text into other tokens than transformers. */
export class UnsupportedTokenizerError extends Error {
  override readonly name = 'UnsupportedTokenizerError';
}

/** Unicode's word characters, as in Rust's `\w`: JavaScript's `\w` has only ASCII. */
export const WORD = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\u200c\\u200d';
const SPACE = '\\p{White_Space}';
/** The Rust library's punctuation: Unicode's, and all of ASCII's. */
const PUNCTUATION = '[\\p{P}$+<=>^`|~]';
/** A prefix that no entry of a vocabulary has. */
const NO_PREFIX = '\u0000\u0001\u0000';
/** Normalizers and pre-tokenizers that the library lacks and has no replacement for. */
const LACKING = new Set(['UnicodeScripts', 'Nmt']);

export function adaptTokenizer(json: Part): Part {
  refuseNormalizers(json['normalizer']);
  return {
    ...json,
    model: adaptModel(json['model']),
    pre_tokenizer: adaptPreTokenizer(json['pre_tokenizer']),
  };
}

function adaptModel(model: unknown): unknown {
  if (!isPart(model)) return model;
  const prefix = model['continuing_subword_prefix'];
  if (model['type'] === 'BPE' && typeof prefix === 'string' && prefix !== '')
    throw new UnsupportedTokenizerError('BPE with continuing_subword_prefix');
  if (typeof model['dropout'] === 'number' && model['dropout'] > 0)
    throw new UnsupportedTokenizerError('BPE with dropout, which draws its tokens at random');
  if (model['type'] !== 'WordLevel') return model;
  // In WordLevel a word is one token or unknown. WordPiece does the same with a prefix that keeps inner pieces from
  // ever being found.
  return {
    type: 'WordPiece',
    vocab: model['vocab'],
    unk_token: model['unk_token'],
    continuing_subword_prefix: NO_PREFIX,
    max_input_chars_per_word: Number.MAX_SAFE_INTEGER,
  };
}

function adaptPreTokenizer(part: unknown): unknown {
  if (!isPart(part)) return part;
  switch (part['type']) {
    case 'Sequence': {
      const list = part['pretokenizers'];
      return { ...part, pretokenizers: Array.isArray(list) ? list.map(adaptPreTokenizer) : list };
    }
    case 'Whitespace':
      return keep(`[${WORD}]+|[^${SPACE}${WORD}]+`);
    case 'WhitespaceSplit':
      return keep(`[^${SPACE}]+`);
    case 'CharDelimiterSplit':
      return split(escaped(textOf(part['delimiter']) ?? ' '), 'Removed');
    case 'FixedLength':
      return split(`[\\s\\S]{1,${Number(part['length'])}}`, 'Isolated');
    case 'Punctuation':
      return split(PUNCTUATION, textOf(part['behavior']) ?? 'Isolated');
    case 'Split': {
      const pattern = part['pattern'];
      const inverted = part['invert'] === true;
      const behavior = textOf(part['behavior']) ?? 'Isolated';
      if (!isPart(pattern)) return part;
      const text = pattern['String'];
      if (typeof text === 'string')
        return inverted ? inverse(escaped(text), behavior) : split(escaped(text), behavior);
      const regex = pattern['Regex'];
      if (typeof regex !== 'string' || !/^(Merged|Contiguous)/.test(behavior)) return part;
      return inverted ? inverse(regex, behavior) : split(regex, behavior);
    }
    default:
      if (typeof part['type'] === 'string' && LACKING.has(part['type']))
        throw new UnsupportedTokenizerError(part['type']);
      return part;
  }
}

/** Cut at the matches of `regex`, with the Rust library's `SplitDelimiterBehavior`. */
function split(regex: string, behavior: string): Part {
  const other = `(?:(?!${regex})[\\s\\S])+`;
  switch (behavior) {
    case 'MergedWithPrevious':
      // Only the first of several matches in a row is merged: it alone follows text that does not match.
      return keep(`${other}(?:${regex})?|(?:${regex})`);
    case 'MergedWithNext':
      return keep(`(?:${regex})${other}|${other}|(?:${regex})`);
    case 'Contiguous':
      return pre(`(?:${regex})+`, 'Isolated', false);
    default:
      return pre(regex, behavior, false);
  }
}

/** Cut at the text that does not match. */
function inverse(regex: string, behavior: string): Part {
  if (behavior === 'Removed' || behavior === 'Isolated') return pre(regex, behavior, true);
  throw new UnsupportedTokenizerError(`Split, inverted, ${behavior}`);
}

/** Keep the matches and drop the text between them; nothing is dropped where every character matches. */
function keep(regex: string): Part {
  return pre(regex, 'Removed', true);
}

function pre(regex: string, behavior: string, invert: boolean): Part {
  return { type: 'Split', pattern: { Regex: regex }, behavior, invert };
}

function refuseNormalizers(part: unknown): void {
  if (!isPart(part)) return;
  const list = part['normalizers'];
  if (Array.isArray(list)) list.forEach(refuseNormalizers);
  const type = part['type'];
  if (type === 'ByteLevel' || (typeof type === 'string' && LACKING.has(type)))
    throw new UnsupportedTokenizerError(`normalizer ${type}`);
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}

function isPart(value: unknown): value is Part {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
