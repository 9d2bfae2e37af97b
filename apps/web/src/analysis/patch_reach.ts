// Finds which cells of layers × positions a change of the residual stream can reach.

export interface StreamCell {
  readonly layer: number;
  readonly position: number;
}

/**
 * Return whether a change of the stream after `changed`'s layer can change the stream at `cell`: there itself, and in
 * every later layer at that position and those after it, which attention reads it from.
 */
export function canReach(changed: StreamCell, cell: StreamCell): boolean {
  if (cell.layer === changed.layer) return cell.position === changed.position;
  return cell.layer > changed.layer && cell.position >= changed.position;
}
