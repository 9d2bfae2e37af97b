// Computes a long list a slice per frame, within the frame's budget of drawing, so that no frame has to compute it whole.
import { cancelDrawing, queueDrawing } from './draw_queue';

const SLICE_MS = 6;

/**
 * Compute `count` values and hand them over together, once all are there. Returns a function that cancels it; a newer
 * call needs the older one cancelled first.
 */
export function inSlices<Value>(
  count: number,
  compute: (index: number) => Value,
  done: (values: Value[]) => void,
): () => void {
  const owner = {};
  const values: Value[] = [];
  const slice = (): void => {
    const until = performance.now() + SLICE_MS;
    while (values.length < count && performance.now() < until) values.push(compute(values.length));
    if (values.length < count) queueDrawing(owner, slice);
    else done(values);
  };
  queueDrawing(owner, slice);
  return () => {
    cancelDrawing(owner);
  };
}
