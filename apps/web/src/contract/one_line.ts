// Makes text from an untrusted file safe to quote in a message. The page shows it as text, never as markup.

const longest = 300;

/** Replace control and format characters, which could reverse or hide the text beside them, and cut long text short. */
export function oneLine(text: string): string {
  const start = text.length > longest ? `${text.slice(0, longest)}…` : text;
  return start.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '\uFFFD');
}
