// Long lists are put on the page a piece per frame, so that no frame has to make them whole.
import { cancelDrawing, queueDrawing } from '../charts/draw_queue';

/** How many entries of a list to show now: follows changes up to `atOnce` directly, grows by `step` per frame otherwise. */
export function growing(length: () => number, step: number, atOnce = 4): () => number {
  let shown = $state(0);
  const owner = {};
  $effect(() => {
    const wanted = length();
    if (wanted <= shown) return;
    if (wanted - shown <= atOnce) shown = wanted;
    else
      queueDrawing(owner, () => {
        shown = Math.min(wanted, shown + step);
      });
  });
  $effect(() => () => {
    cancelDrawing(owner);
  });
  return () => Math.min(shown, length());
}

/** Counts up to `steps`, one per frame: parts of a view that come one after the other. */
export function inTurn(steps: number): () => number {
  let turn = $state(0);
  const owner = {};
  $effect(() => {
    if (turn < steps)
      queueDrawing(owner, () => {
        turn++;
      });
  });
  $effect(() => () => {
    cancelDrawing(owner);
  });
  return () => turn;
}
