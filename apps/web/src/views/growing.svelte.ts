// Long lists are put on the page a piece per frame, so that no frame has to make them whole.
import { cancelDrawing, queueDrawing } from '../charts/draw_queue';

/** Return a reader of the number of entries of a list to show now: it follows changes of up to `atOnce` directly, and
 * grows by `step` per frame otherwise. */
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

/** Return a reader of a count up to `steps`, one per frame, for parts of a view that are drawn one after the other. */
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
