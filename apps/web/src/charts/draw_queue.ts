// Spreads drawing over animation frames so that no frame works for long; what is drawn is the callers' matter.

const FRAME_BUDGET_MS = 8;
const waiting = new Map<object, () => void>();
let scheduled = false;

/** Runs `draw` in a coming frame. A newer call with the same owner replaces an older one that still waits. */
export function queueDrawing(owner: object, draw: () => void): void {
  waiting.set(owner, draw);
  if (!scheduled) {
    scheduled = true;
    requestAnimationFrame(drawSome);
  }
}

export function cancelDrawing(owner: object): void {
  waiting.delete(owner);
}

function drawSome(): void {
  const until = performance.now() + FRAME_BUDGET_MS;
  for (const [owner, draw] of waiting) {
    waiting.delete(owner);
    draw();
    if (performance.now() > until) break;
  }
  scheduled = waiting.size > 0;
  if (scheduled) requestAnimationFrame(drawSome);
}

/** Runs at once all that waits now; false where nothing did. */
export function drawQueued(): boolean {
  const drawings = Array.from(waiting.values());
  waiting.clear();
  for (const draw of drawings) draw();
  return drawings.length > 0;
}
