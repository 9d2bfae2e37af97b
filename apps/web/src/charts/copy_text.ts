// Puts text on the clipboard, also where the browser gives pages no clipboard of their own, as over HTTP without TLS.

/** Returns false where the browser lets the page copy in neither way. To be called from a click or a key. */
export async function copyText(text: string): Promise<boolean> {
  // Chosen before any waiting: some browsers hear of the reader's click only until then.
  if (!hasClipboard()) return copyAsSelection(text);
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Refused, as in another site's frame: what an editor does with Ctrl+C may still be allowed.
    return copyAsSelection(text);
  }
}

/** Missing on a page that is not secure, which TypeScript's types do not know. */
function hasClipboard(): boolean {
  return 'clipboard' in navigator && (navigator.clipboard as Clipboard | undefined) !== undefined;
}

/** Copies as the reader would: a box holds the text, all of it selected. Focus and selection return to where they were. */
function copyAsSelection(text: string): boolean {
  const focused = document.activeElement;
  const selection = document.getSelection();
  const ranges = Array.from({ length: selection?.rangeCount ?? 0 }, (_, index) =>
    selection?.getRangeAt(index),
  );
  const box = document.createElement('textarea');
  box.value = text;
  box.readOnly = true;
  box.setAttribute('aria-hidden', 'true');
  // Out of sight, but laid out: what is not displayed cannot be selected.
  box.style.position = 'fixed';
  box.style.insetInlineStart = '-9999px';
  document.body.append(box);
  try {
    box.focus({ preventScroll: true });
    box.select();
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- the one way where there is no Clipboard
    return document.execCommand('copy');
  } catch {
    return false;
  } finally {
    box.remove();
    if (focused instanceof HTMLElement) focused.focus({ preventScroll: true });
    selection?.removeAllRanges();
    for (const range of ranges) if (range !== undefined) selection?.addRange(range);
  }
}
