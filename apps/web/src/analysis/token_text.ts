// Text that shows the bytes of a token: white space, control characters and partial UTF-8 are made visible. No DOM.

export interface TextSegment {
  /** `space`: white space; `hidden`: a character without a glyph, shown as U+…; `bytes`: partial UTF-8, in hex. */
  kind: 'text' | 'space' | 'hidden' | 'bytes';
  text: string;
}

/** Split bytes into parts that are valid UTF-8 and parts that are not; nothing is dropped. */
export function tokenSegments(bytes: Uint8Array): TextSegment[] {
  const segments: TextSegment[] = [];
  const push = (kind: TextSegment['kind'], text: string): void => {
    const last = segments.at(-1);
    if (last?.kind === kind && kind !== 'hidden') last.text += kind === 'bytes' ? ` ${text}` : text;
    else segments.push({ kind, text });
  };
  let at = 0;
  while (at < bytes.length) {
    const character = utf8Character(bytes, at);
    if (character === null) {
      push('bytes', (bytes[at] ?? 0).toString(16).toUpperCase().padStart(2, '0'));
      at += 1;
    } else {
      const [kind, text] = visible(character.text);
      // A combining mark needs a base character, so it gets a dotted circle.
      const bare = /^\p{M}/u.test(text) && segments.at(-1)?.kind !== 'text';
      push(kind, bare ? `◌${text}` : text);
      at += character.length;
    }
  }
  return segments;
}

/** Return the segments as one string, for labels on axes and for screen readers. */
export function tokenLabel(bytes: Uint8Array): string {
  return tokenSegments(bytes)
    .map((segment) => segment.text)
    .join('');
}

/** Return the character at `at`, or null where the bytes there are not whole, well-formed UTF-8. */
export function utf8Character(
  bytes: Uint8Array,
  at: number,
): { text: string; length: number } | null {
  const first = bytes[at] ?? 0;
  const length =
    first < 0x80
      ? 1
      : first < 0xc2
        ? 0
        : first < 0xe0
          ? 2
          : first < 0xf0
            ? 3
            : first < 0xf5
              ? 4
              : 0;
  if (length === 0 || at + length > bytes.length) return null;
  try {
    const text = strict.decode(bytes.subarray(at, at + length));
    return { text, length };
  } catch {
    return null;
  }
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function visible(character: string): [TextSegment['kind'], string] {
  if (character === ' ') return ['space', '␣'];
  if (character === '\n') return ['space', '↵'];
  if (character === '\t') return ['space', '⇥'];
  if (character === '\r') return ['space', '␍'];
  if (/[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}]/u.test(character)) {
    const code = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
    return ['hidden', `U+${code}`];
  }
  return ['text', character];
}

/** Return the text of all tokens together; bytes that are not UTF-8 become the replacement character. */
export function joinedText(parts: readonly Uint8Array[]): string {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(all);
}
