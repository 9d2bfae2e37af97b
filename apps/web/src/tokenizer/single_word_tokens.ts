// Added tokens that match whole words only (`single_word`). The library would match them inside words too, so they are
// cut out of the text before it.
import { WORD } from './adapt_tokenizer';

export interface SingleWordToken {
  id: number;
  content: string;
  lstrip: boolean;
  rstrip: boolean;
}

export type Section = { text: string } | { id: number };

const WORD_CHARACTER = new RegExp(`[${WORD}]`, 'u');
const WORD_AT_END = new RegExp(`[${WORD}]$`, 'u');

/** Cut the text into tokens of `tokens` and the text between them: the earliest match, and the longest of those. */
export function cutSingleWords(text: string, tokens: readonly SingleWordToken[]): Section[] {
  const longestFirst = tokens
    .filter(({ content }) => content !== '')
    .sort((a, b) => b.content.length - a.content.length);
  const sections: Section[] = [];
  let from = 0;
  let at = 0;
  while (at < text.length) {
    const found = longestFirst.find(({ content }) => text.startsWith(content, at));
    if (found === undefined) {
      at++;
      continue;
    }
    const end = at + found.content.length;
    if (WORD_AT_END.test(text.slice(Math.max(0, at - 2), at)) || startsWord(text, end)) {
      // Skip the whole match, as the Rust library does.
      at = end;
      continue;
    }
    const before = text.slice(from, at);
    sections.push({ text: found.lstrip ? before.replace(/\p{White_Space}+$/u, '') : before });
    sections.push({ id: found.id });
    from = found.rstrip ? end + (/^\p{White_Space}*/u.exec(text.slice(end))?.[0].length ?? 0) : end;
    at = from;
  }
  sections.push({ text: text.slice(from) });
  return sections.filter((section) => 'id' in section || section.text !== '');
}

function startsWord(text: string, at: number): boolean {
  const character = text.codePointAt(at);
  return character !== undefined && WORD_CHARACTER.test(String.fromCodePoint(character));
}
