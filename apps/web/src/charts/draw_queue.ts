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

/** A drawing that throws must not keep the others from their turn; its error goes on to the page's own handler. */
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

/** Runs at once all that waits now; false where nothing did. */
export function drawQueued(): boolean {
  const drawings = Array.from(waiting);
  for (const [owner, draw] of drawings) {
    waiting.delete(owner);
    draw();
  }
  return drawings.length > 0;
}
