// A conversation as its template writes it, cut at the texts of special tokens.

export interface MarkedPart {
  readonly text: string;
  readonly isSpecial: boolean;
}

/** Return the parts in their order; of special texts that begin at one place the longest counts. */
export function markedChat(text: string, special: readonly string[]): MarkedPart[] {
  const there = special
    .filter((each) => each !== '' && text.includes(each))
    .sort((a, b) => b.length - a.length);
  const parts: MarkedPart[] = [];
  let plain = 0;
  let at = 0;
  const put = (start: number, end: number, isSpecial: boolean): void => {
    if (end > start) parts.push({ text: text.slice(start, end), isSpecial });
  };
  while (at < text.length && there.length > 0) {
    const found = there.find((each) => text.startsWith(each, at));
    if (found === undefined) {
      at++;
      continue;
    }
    put(plain, at, false);
    at += found.length;
    put(at - found.length, at, true);
    plain = at;
  }
  put(plain, text.length, false);
  return parts;
}
