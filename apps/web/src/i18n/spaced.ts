// The space between Latin letters or digits and Chinese, which names that are put into sentences need.
/** Return a text with the space that stands between a letter or digit and the Chinese that follows. */
export function spaced(text: string): string {
  return /\w$/.test(text) ? `${text} ` : text;
}
