// The light structure of a lesson's texts: paragraphs, lists, *emphasis*, `tokens` and [[glossary terms]]. The page makes
// elements of the parts, never markup of the text.
import type { Text as LessonText } from '../contract/generated';

export type Inline =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'emphasis'; readonly text: string }
  | { readonly kind: 'token'; readonly text: string }
  /** `text` is null where the term's own name is to be shown. */
  | { readonly kind: 'term'; readonly id: string; readonly text: string | null };

export type Block =
  | { readonly kind: 'paragraph'; readonly parts: readonly Inline[] }
  | { readonly kind: 'list'; readonly items: readonly (readonly Inline[])[] };

/** Return a text in the reader's language, or as it is where it has but one. */
export function inLanguage(text: LessonText, language: 'en' | 'zh'): string {
  return typeof text === 'string' ? text : text[language];
}

/** Return the blocks of a text. Marks that are not closed stay as they are written. */
export function blocksOf(text: string): Block[] {
  return text
    .split(/\n[ \t]*\n/)
    .filter((block) => block.trim() !== '')
    .flatMap(blocksIn);
}

/** Split lines that begin with - from those before and behind them. */
function blocksIn(text: string): Block[] {
  const blocks: Block[] = [];
  let lines: string[] = [];
  let items: string[] = [];
  const end = (): void => {
    if (lines.length > 0) blocks.push({ kind: 'paragraph', parts: inlineOf(lines.join(' ')) });
    if (items.length > 0) blocks.push({ kind: 'list', items: items.map(inlineOf) });
    [lines, items] = [[], []];
  };
  for (const line of text.split('\n')) {
    const item = /^\s*- (.*)$/.exec(line)?.[1];
    if ((item === undefined) === items.length > 0) end();
    if (item === undefined) lines.push(line.trim());
    else items.push(item.trim());
  }
  end();
  return blocks;
}

const marked =
  /`([^`\n]+)`|\*([^*\s](?:[^*\n]*[^*\s])?)\*|\[\[([a-z0-9-]{1,40})(?:\|([^[\]\n]{1,80}))?\]\]/g;

export function inlineOf(text: string): Inline[] {
  const parts: Inline[] = [];
  let from = 0;
  for (const found of text.matchAll(marked)) {
    const [whole, token, emphasis, id, shown] = found;
    if (found.index > from) parts.push({ kind: 'text', text: text.slice(from, found.index) });
    if (token !== undefined) parts.push({ kind: 'token', text: token });
    else if (emphasis !== undefined) parts.push({ kind: 'emphasis', text: emphasis });
    else if (id !== undefined) parts.push({ kind: 'term', id, text: shown ?? null });
    from = found.index + whole.length;
  }
  if (from < text.length) parts.push({ kind: 'text', text: text.slice(from) });
  return parts;
}
