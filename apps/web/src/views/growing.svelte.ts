// Long lists are put on the page a piece per frame, so that no frame has to make them whole.
import { cancelDrawing, queueDrawing } from '../charts/draw_queue';

/** How many entries of a list to show now: follows small changes at once, grows by `step` per frame otherwise. */
export function growing(length: () => number, step: number): () => number {
  let shown = $state(0);
  const owner = {};
  $effect(() => {
    const wanted = length();
    if (wanted <= shown) return;
    if (wanted - shown <= 4) shown = wanted;
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
