// Makes the map of a sweep: a number for each cell, the scale of its colours, and the edit that a cell stands for.
import { restored } from '../../analysis/patching';
import { placesOf } from '../../analysis/swept_places';
import { listed, type ListedEdit } from '../../inference/listed_edits';
import type { DoneSweep } from '../../session/patch_sweeps.svelte';

export interface SweepCells {
  readonly rows: number;
  readonly columns: number;
  /** Row-major: shares of the difference between both texts, or changes of the metric where there is no difference. */
  readonly values: Float32Array;
  readonly areShares: boolean;
  /** The value at the scale's end. */
  readonly limit: number;
}

export function cellsOf({ sweep }: DoneSweep): SweepCells {
  const areShares = sweep.clean !== sweep.corrupted;
  const values = areShares ? restored(sweep) : sweep.values.map((value) => value - sweep.corrupted);
  const furthest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const [rows, columns] = sweep.dims;
  return { rows, columns, values, areShares, limit: areShares ? Math.max(1, furthest) : furthest };
}

/** Return the edit that puts the second text's values in at a cell. */
export function patchAt({ asked }: DoneSweep, layer: number, column: number): ListedEdit {
  const { over, joint } = placesOf[asked.over];
  const place = over === 'heads' ? { head: column } : { position: column };
  return listed({ edit: 'replace', joint, layer, ...place, value: 0 }, { text: asked.text });
}
