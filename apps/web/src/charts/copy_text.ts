// Puts text on the clipboard, also where the browser has no Clipboard API for the page, as over HTTP without TLS.

/** Copy the text; false where the browser allows neither way. Call it from a click or a key. */
export async function copyText(text: string): Promise<boolean> {
  // Chosen before any await: some browsers allow copying only until then after a click.
  if (!hasClipboard()) return copyAsSelection(text);
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Refused, as in another site's frame: copying a selection, as with Ctrl+C, may still be allowed.
    return copyAsSelection(text);
  }
}

/** Return whether there is a Clipboard API: insecure pages have none, which TypeScript's types do not say. */
function hasClipboard(): boolean {
  return 'clipboard' in navigator && (navigator.clipboard as Clipboard | undefined) !== undefined;
}

/** Copy the text as a selection in a temporary box. Restores the focus and the selection afterwards. */
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
  // Out of sight, but laid out, since elements that are not displayed cannot be selected.
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
