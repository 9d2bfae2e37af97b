// Reads untrusted JSON so that every reader sees the same values, or refuses it. The same rules in Python:
// oriel/contract/strict_json.py.
import limits from '../../../../contracts/limits.json' with { type: 'json' };
import { oneLine } from './one_line';

const most = limits.json;
const refusedKeys = new Set(most.refused_keys);

export type JsonVerdict = { kind: 'json'; value: unknown } | { kind: 'refused'; detail: string };

/** Largest number of bytes of a text, so that a reader can stop before all have arrived. */
export const maxJsonBytes = most.bytes;

/** Parse JSON; refuse texts that JSON.parse accepts but others read differently or reject: contracts/limits.json. */
export function parseStrictJson(text: string): JsonVerdict {
  if (text.startsWith('\uFEFF')) return refused('it begins with a byte order mark');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return refused('it is not JSON');
  }
  const detail = refusalOf(text);
  return detail === null ? { kind: 'json', value } : refused(detail);
}

function refused(detail: string): JsonVerdict {
  return { kind: 'refused', detail: oneLine(detail) };
}

const numberText = /[-+.0-9Ee]+/y;
const colon = /[ \t\n\r]*:/y;

/** Return why a text is refused, or null. JSON.parse has accepted it, so only the stricter rules are checked. */
function refusalOf(text: string): string | null {
  /** Keys so far of each object that is open; null for an array. */
  const open: (Set<string> | null)[] = [];
  let values = 0;
  let at = 0;
  while (at < text.length) {
    const character = text[at] ?? '';
    if (character === '"') {
      const end = endOfString(text, at);
      const literal = text.slice(at, end);
      at = end;
      const string = literal.includes('\\') ? String(JSON.parse(literal)) : literal.slice(1, -1);
      const detail = refusalOfText(string);
      if (detail !== null) return detail;
      colon.lastIndex = at;
      if (colon.test(text)) {
        if (refusedKeys.has(string)) return `a key is called ${string}`;
        const keys = open.at(-1);
        if (keys?.has(string)) return 'a key stands twice in an object';
        keys?.add(string);
        continue;
      }
      values++;
    } else if (character === '{' || character === '[') {
      open.push(character === '{' ? new Set() : null);
      if (open.length > most.depth) return `over ${most.depth} levels`;
      values++;
      at++;
    } else if (character === '}' || character === ']') {
      open.pop();
      at++;
    } else if (character === '-' || (character >= '0' && character <= '9')) {
      numberText.lastIndex = at;
      const [number = ''] = numberText.exec(text) ?? [];
      if (number.length > most.number_length) return `a number of ${number.length} characters`;
      // This covers Infinity too.
      if (Math.abs(Number(number)) > most.largest_number) return `a number beyond 2^53, ${number}`;
      at += number.length;
      values++;
    } else if (character === 't' || character === 'f' || character === 'n') {
      at += character === 'f' ? 5 : 4;
      values++;
    } else {
      at++;
    }
    if (values > most.values) return `over ${most.values} values`;
  }
  return null;
}

function endOfString(text: string, start: number): number {
  for (let at = start + 1; ; at++) {
    at = text.indexOf('"', at);
    let before = at - 1;
    while (text[before] === '\\') before--;
    if ((at - before) % 2 === 1) return at + 1;
  }
}

function refusalOfText(text: string): string | null {
  if (text.length > most.string_length && codePoints(text) > most.string_length) {
    return `a text of over ${most.string_length} characters`;
  }
  return /\p{Surrogate}/u.test(text) ? 'a text that is half a character' : null;
}

function codePoints(text: string): number {
  // A surrogate pair is two code units of one character.
  return text.length - (text.match(/[\uD800-\uDBFF][\uDC00-\uDFFF]/g)?.length ?? 0);
}
