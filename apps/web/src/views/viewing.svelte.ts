// The state of the views: the locked selection, the pointer's preview, the scale of colours, the settings of sampling.
// The model: session/.
import { PLAIN_ATTENTION, type AttentionShown } from '../analysis/attention_maps';
import { ALL_HEADS, type HeadsShown } from '../analysis/head_roles';
import { LENS_AT_FIRST, type LensShown } from '../analysis/lens_measures';
import { DEFAULT_SAMPLING, type SamplingSettings } from '../analysis/sampling';
import type { Theme } from '../charts/colour_ramps';
import type { MapWindow } from '../charts/map_window';
import type { HeadRef } from '../inference/interventions';
import type { UnitRef } from '../contract/dashboard_unit';
import type { FeatureRef } from '../inference/dictionary_names';

export interface LensCell {
  layer: number;
  position: number;
}

/** A layer, and the number of a neuron of its MLP. */
export type NeuronRef = readonly [layer: number, neuron: number];

/** Locked by a click or Enter; stays until Escape or another click. Null lets the page decide. */
export interface Selection {
  token: number | null;
  head: HeadRef | null;
  lens: LensCell | null;
  /** The part of the large map that is looked at closely, whichever head it shows; null is the whole map. */
  part: MapWindow | null;
  /** The same of the map of differences between two variants. */
  comparedPart: MapWindow | null;
  /** Contract name of the activation in the strip view. */
  shown: string | null;
  /** The way in which the overview shows heads. */
  overview: HeadsShown;
  /** The way in which the attention view shows attention. */
  attention: AttentionShown;
  neuron: NeuronRef | null;
  /** The chosen dictionary, and its locked feature. */
  feature: FeatureRef | null;
  /** The unit whose dashboard is open. */
  unit: UnitRef | null;
  /** The quantity in the lens' cells. */
  lensShown: LensShown;
}

/** Under the pointer or the keyboard's focus; wins over the selection while it lasts. */
export interface Hover {
  /** The token that looks back: a row of the maps. */
  token: number | null;
  /** The token looked at: a column. */
  key: number | null;
  head: HeadRef | null;
  lens: LensCell | null;
}

export interface Scale {
  theme: Theme;
  /** True where colours follow the square root, so that small weights show. */
  root: boolean;
}

export const NOTHING_SELECTED: Selection = {
  token: null,
  head: null,
  lens: null,
  part: null,
  comparedPart: null,
  shown: null,
  overview: ALL_HEADS,
  attention: PLAIN_ATTENTION,
  neuron: null,
  feature: null,
  unit: null,
  lensShown: LENS_AT_FIRST,
};
const NOTHING_HOVERED: Hover = { token: null, key: null, head: null, lens: null };

export class Viewing {
  selection = $state.raw<Selection>(NOTHING_SELECTED);
  hover = $state.raw<Hover>(NOTHING_HOVERED);
  /** Null lets the page decide by the length of the text. */
  root = $state<boolean | null>(null);
  sampling = $state.raw<SamplingSettings>(DEFAULT_SAMPLING);
  /** Ids of the views of which only the title is shown, in the order in which they were folded. */
  folded = $state.raw<readonly string[]>([]);
  /** Id of the view that is shown alone; null shows all. */
  alone = $state<string | null>(null);
  /** True where the page stands inside another one. */
  embedded = $state(false);
  /** True where the views show the model without the reader's edits. */
  baseline = $state(false);

  select(changes: Partial<Selection>): void {
    this.selection = { ...this.selection, ...changes };
    if ((changes.unit ?? null) === null) return;
    // A unit's page would be out of sight behind another view that is shown alone, or folded.
    if (this.alone !== null) this.alone = 'units';
    this.folded = this.folded.filter((id) => id !== 'units');
  }

  /** Fold a view, or unfold it. */
  toggleFold(id: string): void {
    const others = this.folded.filter((folded) => folded !== id);
    this.folded = others.length < this.folded.length ? others : [...others, id];
  }

  preview(changes: Partial<Hover>): void {
    const next = { ...this.hover, ...changes };
    const same = (Object.keys(next) as (keyof Hover)[]).every(
      (key) => next[key] === this.hover[key],
    );
    if (!same) this.hover = next;
  }

  /**
   * Release everything locked and previewed, for Escape, but keep the shown activation, the dictionary, and the shown
   * part of a map.
   */
  release(): void {
    // The chosen dictionary stays; its feature is released.
    const { feature: locked } = this.selection;
    const feature = locked && { ...locked, feature: null };
    this.select({ token: null, head: null, lens: null, neuron: null, feature });
    this.hover = NOTHING_HOVERED;
  }
}

export function sameHead(a: HeadRef | null, b: HeadRef | null): boolean {
  return a !== null && a[0] === b?.[0] && a[1] === b[1];
}
