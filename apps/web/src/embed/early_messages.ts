// Keeps what the page around a frame says before this page listens: a frame's `load` event does not wait for its texts.

/** More than a page around has to say until then. */
const MOST = 8;
const early: MessageEvent[] = [];

function keep(event: MessageEvent): void {
  if (event.source === window.parent && early.length < MOST) early.push(event);
}

if (window.parent !== window) addEventListener('message', keep);

/** Return the messages that came before, in their order, and keep no more. */
export function takeEarlyMessages(): MessageEvent[] {
  removeEventListener('message', keep);
  return early.splice(0);
}
