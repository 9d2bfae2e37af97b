// Text from a stranger's file as a message may quote it. Where it is drawn, it is drawn as text.

const longest = 300;

/** Without control and format characters, which could turn or hide what stands beside it, and never long. */
export function oneLine(text: string): string {
  const start = text.length > longest ? `${text.slice(0, longest)}…` : text;
  return start.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '\uFFFD');
}
