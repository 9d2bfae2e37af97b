// Spreads drawing over animation frames so that no frame works for long. The callers do the drawing.

const FRAME_BUDGET_MS = 8;
const waiting = new Map<object, () => void>();
let scheduled = false;

/** Run `draw` in a coming frame. A newer call with the same owner replaces an older one that still waits. */
export function queueDrawing(owner: object, draw: () => void): void {
  waiting.set(owner, draw);
  if (!scheduled) {
    scheduled = true;
    requestAnimationFrame(drawSome);
  }
}

/** Out of sight, a drawing waits until no newer one has come for this long, in milliseconds. */
const QUIET_MS = 500;

/**
 * Run `draw` in a coming frame if its place is in sight, else after a pause: a capture of the page shows places that
 * nobody has scrolled to. Returns what takes the pause back.
 */
export function queueInTurn(owner: object, inSight: boolean, draw: () => void): () => void {
  if (inSight) {
    queueDrawing(owner, draw);
    return () => undefined;
  }
  const waiting = setTimeout(() => {
    queueDrawing(owner, draw);
  }, QUIET_MS);
  return () => {
    clearTimeout(waiting);
  };
}

export function cancelDrawing(owner: object): void {
  waiting.delete(owner);
}

/** Run queued drawings within the frame's budget. One that throws does not stop the others; its error is thrown on. */
function drawSome(): void {
  const until = performance.now() + FRAME_BUDGET_MS;
  try {
    for (const [owner, draw] of waiting) {
      waiting.delete(owner);
      draw();
      if (performance.now() > until) break;
    }
  } finally {
    scheduled = waiting.size > 0;
    if (scheduled) requestAnimationFrame(drawSome);
  }
}

/** Run all waiting drawings at once; false where there were none. */
export function drawQueued(): boolean {
  const drawings = Array.from(waiting);
  for (const [owner, draw] of drawings) {
    waiting.delete(owner);
    draw();
  }
  return drawings.length > 0;
}
