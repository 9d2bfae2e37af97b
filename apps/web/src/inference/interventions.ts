// Interventions: the changes to a model's computation as one value, with one key and one function that makes feeds.
// A new kind is one type in `Intervention` and one row of `kinds`.
import type * as Ort from 'onnxruntime-web';
import {
  elementCount,
  headScaleName,
  neutralValue,
  residualDeltaName,
} from '../contract/activation_table';
import type { ModelShape } from '../contract/generated';

export type HeadRef = readonly [layer: number, head: number];

/** Multiplies one head's attn_z; 0 switches the head off. */
export interface HeadScale {
  readonly kind: 'head-scale';
  readonly layer: number;
  readonly head: number;
  readonly scale: number;
}

/** Adds a vector to a layer's resid_post. */
export interface ResidualDelta {
  readonly kind: 'residual-delta';
  readonly layer: number;
  /** The token that it is added at; null for every token. */
  readonly position: number | null;
  /** (hidden) */
  readonly delta: Float32Array;
}

export type Intervention = HeadScale | ResidualDelta;

/** Their order means nothing. Those of one place combine: scales multiply, and deltas add up. */
export type Interventions = readonly Intervention[];

export const noInterventions: Interventions = [];

/** The numbers `start` … `end` - 1. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** All interventions of one place in one, its numbers as the graph gets them. */
interface Change {
  readonly kind: Intervention['kind'];
  readonly layer: number;
  /** Head or position in the layer; null for all positions. */
  readonly index: number | null;
  readonly values: Float32Array;
}

/** The changes of one kind in one layer: one input of the graph. */
interface LayerChanges {
  readonly kind: Intervention['kind'];
  readonly layer: number;
  readonly changes: readonly Change[];
}

interface Kind<Entry extends Intervention> {
  /** Name of the graph's input for a layer. Its neutral value is the contract's. */
  readonly input: (layer: number) => string;
  readonly combine: (one: number, other: number) => number;
  readonly index: (entry: Entry) => number | null;
  readonly values: (entry: Entry) => readonly number[] | Float32Array;
  /** Return the reason why a model of this shape cannot apply it; null where it can. */
  readonly problem: (entry: Entry, shape: ModelShape) => string | null;
  /** Return the heads or positions that its input has a row for in one run. */
  readonly rows: (shape: ModelShape, fed: Span) => Span;
  readonly dims: (rows: number, shape: ModelShape) => readonly number[];
}

type Kinds = {
  readonly [Name in Intervention['kind']]: Kind<Extract<Intervention, { kind: Name }>>;
};

const kinds: Kinds = {
  'head-scale': {
    input: headScaleName,
    combine: (one, other) => one * other,
    index: ({ head }) => head,
    values: ({ scale }) => [scale],
    problem: ({ layer, head }, { heads }) =>
      isIndex(head, heads) ? null : `no head ${head} in layer ${layer}`,
    rows: ({ heads }) => ({ start: 0, end: heads }),
    dims: (heads) => [heads],
  },
  'residual-delta': {
    input: residualDeltaName,
    combine: (one, other) => one + other,
    index: ({ position }) => position,
    values: ({ delta }) => delta,
    problem: ({ delta, position }, { hidden, context_length }) => {
      if (delta.length !== hidden) return `a delta of ${delta.length} numbers, not ${hidden}`;
      return position === null || isIndex(position, context_length) ? null : `no token ${position}`;
    },
    rows: (_, fed) => fed,
    dims: (positions, { hidden }) => [1, positions, hidden],
  },
};

/** Return a key that is the same for interventions that change the computation alike, whatever their order. */
export function interventionKey(interventions: Interventions): string {
  return changesOf(interventions)
    .map(({ kind, layer, index, values }) => `${kind} ${layer} ${index ?? 'all'} ${values.join()}`)
    .sort()
    .join(';');
}

/** Return whether they change nothing. */
export function isNeutral(interventions: Interventions): boolean {
  return changesOf(interventions).length === 0;
}

/**
 * Make the inputs that differ from neutral, for a run that feeds these positions. Throws a RangeError where a model of
 * this shape cannot apply them, which the worker sends as an error of kind `run`.
 */
export function interventionFeeds(
  ort: typeof Ort,
  interventions: Interventions,
  shape: ModelShape,
  fed: Span,
): Record<string, Ort.Tensor> {
  for (const entry of interventions) {
    const detail = problemOf(entry, shape);
    if (detail !== null) throw new RangeError(detail);
  }
  return Object.fromEntries(
    byLayer(changesOf(interventions)).map((group) => [
      kinds[group.kind].input(group.layer),
      tensorOf(ort, group, shape, fed),
    ]),
  );
}

/** Return the interventions that switch these heads off. */
export function switchingOff(heads: readonly HeadRef[]): Interventions {
  return heads.map(([layer, head]) => ({ kind: 'head-scale', layer, head, scale: 0 }));
}

/** List the heads that are switched off, each once. */
export function headsOff(interventions: Interventions): HeadRef[] {
  const found = new Map<string, HeadRef>();
  for (const entry of interventions)
    if (entry.kind === 'head-scale' && entry.scale === 0)
      found.set(`${entry.layer}.${entry.head}`, [entry.layer, entry.head]);
  return [...found.values()];
}

/** Switch the head off, or back to what it was trained to do. */
export function toggledHead(interventions: Interventions, [layer, head]: HeadRef): Interventions {
  const isOff = headsOff(interventions).some(([l, h]) => l === layer && h === head);
  if (!isOff) return [...interventions, ...switchingOff([[layer, head]])];
  return interventions.filter(
    (entry) => entry.kind !== 'head-scale' || entry.layer !== layer || entry.head !== head,
  );
}

/** Keep the interventions that a model of this shape can apply. */
export function applicable(interventions: Interventions, shape: ModelShape): Interventions {
  return interventions.filter((entry) => problemOf(entry, shape) === null);
}

/** Return the row of an intervention's kind. The compiler does not see that both belong together. */
function kindOf<Entry extends Intervention>({ kind }: Entry): Kind<Entry> {
  return kinds[kind] as unknown as Kind<Entry>;
}

function problemOf(entry: Intervention, shape: ModelShape): string | null {
  if (!isIndex(entry.layer, shape.layers)) return `no layer ${entry.layer}`;
  const kind = kindOf(entry);
  if (!Array.from(kind.values(entry), Math.fround).every(Number.isFinite))
    return `a ${entry.kind} that is not a finite float32`;
  return kind.problem(entry, shape);
}

function byLayer(changes: readonly Change[]): LayerChanges[] {
  const groups = new Map<string, LayerChanges>();
  for (const change of changes) {
    const { kind, layer } = change;
    const name = kinds[kind].input(layer);
    groups.set(name, {
      kind,
      layer,
      changes: [...(groups.get(name)?.changes ?? []), change],
    });
  }
  return [...groups.values()];
}

function neutralOf(kind: Intervention['kind']): number {
  return neutralValue(kinds[kind].input(0)) ?? 0;
}

/** Combine the interventions of each place, and drop what changes nothing. */
function changesOf(interventions: Interventions): Change[] {
  const places = new Map<string, Intervention[]>();
  for (const entry of interventions) {
    const place = `${entry.kind} ${entry.layer} ${kindOf(entry).index(entry) ?? 'all'}`;
    places.set(place, [...(places.get(place) ?? []), entry]);
  }
  return Array.from(places.values(), combined).filter(
    ({ kind, values }) => !values.every((value) => value === neutralOf(kind)),
  );
}

/** Combine the interventions of one place, of which there is one at least. */
function combined(entries: readonly Intervention[]): Change {
  const [first] = entries;
  if (first === undefined) throw new RangeError('no interventions to combine');
  const { combine, index, values } = kindOf(first);
  const all = entries.map((entry) => Array.from(values(entry)));
  const columns = all[0]?.map((_, at) => all.map((row) => row[at] ?? 0)) ?? [];
  return {
    kind: first.kind,
    layer: first.layer,
    index: index(first),
    // Sorted, since rounding depends on the order; adding 0 makes -0 the 0 that it equals.
    values: Float32Array.from(
      columns,
      (column) => column.sort((a, b) => a - b).reduce(combine) + 0,
    ),
  };
}

function tensorOf(
  ort: typeof Ort,
  { kind, changes }: LayerChanges,
  shape: ModelShape,
  fed: Span,
): Ort.Tensor {
  const { rows, dims, combine } = kinds[kind];
  const { start, end } = rows(shape, fed);
  // One row serves all where none has a change of its own.
  const count = changes.every(({ index }) => index === null) ? 1 : end - start;
  const size = dims(count, shape);
  const data = new Float32Array(elementCount(size)).fill(neutralOf(kind));
  const width = data.length / count;
  for (const { index, values } of changes) {
    for (let row = 0; row < count; row++) {
      // The rows of earlier positions are in the key/value cache.
      if (index !== null && index !== start + row) continue;
      for (const [column, value] of values.entries()) {
        const at = row * width + column;
        data[at] = combine(data[at] ?? 0, value);
      }
    }
  }
  return new ort.Tensor('float32', data, size);
}

function isIndex(value: number, count: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < count;
}
