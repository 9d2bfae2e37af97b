// Interventions: the changes to a model's computation as one value, with one key. joint_edits.ts turns them into what a
// graph is fed.
import { closingTable } from '../contract/closing_table';
import type { ActivationKind, ClosingName } from '../contract/generated';

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

/** Row-major; Uint8Array for `bool`. */
export interface ClosingTensor {
  readonly dims: readonly number[];
  readonly data: Float32Array | Uint8Array;
}

/** Puts a closing of the contract at a joint of one layer. Graphs of contract 1.x have no joints. */
export interface JointClosing {
  readonly kind: 'closing';
  readonly joint: ActivationKind;
  readonly layer: number;
  readonly closing: ClosingName;
  /** The tokens that it changes; null for every token. */
  readonly positions: Span | null;
  /**
   * By the names of the closing's inputs. They have the joint's rank, and each dimension is 1 or the joint's; that of
   * the tokens is 1 or as many as `positions` has, that of all tokens so far any number, for the first of them.
   */
  readonly tensors: Readonly<Record<string, ClosingTensor>>;
}

export type Intervention = HeadScale | ResidualDelta | JointClosing;

/**
 * Scales and deltas of one place combine, whatever their order: scales multiply, and deltas add up. They come before the
 * closings of the same joint, which apply in their order.
 */
export type Interventions = readonly Intervention[];

export const noInterventions: Interventions = [];

/** The numbers `start` … `end` - 1. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** All scales or deltas of one place in one, its numbers as the graph gets them. */
export interface CombinedChange {
  readonly kind: 'head-scale' | 'residual-delta';
  readonly layer: number;
  /** Head or position in the layer; null for all positions. */
  readonly index: number | null;
  readonly values: Float32Array;
}

/** A change that is left when neutral ones are dropped. */
export type Change = CombinedChange | JointClosing;

interface CombinedKind<Entry extends Intervention> {
  readonly neutral: number;
  readonly combine: (one: number, other: number) => number;
  readonly index: (entry: Entry) => number | null;
  readonly values: (entry: Entry) => readonly number[] | Float32Array;
}

type CombinedKinds = {
  readonly [Name in CombinedChange['kind']]: CombinedKind<Extract<Intervention, { kind: Name }>>;
};

export const combinedKinds: CombinedKinds = {
  'head-scale': {
    neutral: 1,
    combine: (one, other) => one * other,
    index: ({ head }) => head,
    values: ({ scale }) => [scale],
  },
  'residual-delta': {
    neutral: 0,
    combine: (one, other) => one + other,
    index: ({ position }) => position,
    values: ({ delta }) => delta,
  },
};

/** Return a key that is the same for interventions that change the computation alike, whatever their order. */
export function interventionKey(interventions: Interventions): string {
  const byPlace = new Map<string, string>();
  for (const change of changesOf(interventions)) {
    const place =
      change.kind === 'closing'
        ? `closing ${change.joint} ${change.layer}`
        : `${change.kind} ${change.layer} ${change.index ?? 'all'}`;
    // Closings of one joint apply one after another, so their order is a part of the key.
    byPlace.set(place, `${byPlace.get(place) ?? place} ${textOf(change)}`);
  }
  return [...byPlace.values()].sort().join(';');
}

/** Return whether they change nothing. */
export function isNeutral(interventions: Interventions): boolean {
  return changesOf(interventions).length === 0;
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

/** Combine the scales and deltas of each place, and drop what changes nothing; the closings come last, in their order. */
export function changesOf(interventions: Interventions): Change[] {
  const places = new Map<string, Combinable[]>();
  const closings: JointClosing[] = [];
  for (const entry of interventions) {
    if (entry.kind === 'closing') {
      if (!isNeutralClosing(entry)) closings.push(entry);
      continue;
    }
    const place = `${entry.kind} ${entry.layer} ${kindOf(entry).index(entry) ?? 'all'}`;
    places.set(place, [...(places.get(place) ?? []), entry]);
  }
  const combinedOnes = Array.from(places.values(), combined).filter(
    ({ kind, values }) => !values.every((value) => value === combinedKinds[kind].neutral),
  );
  return [...combinedOnes, ...closings];
}

type Combinable = HeadScale | ResidualDelta;

/** Return the row of an intervention's kind. The compiler does not see that both belong together. */
function kindOf<Entry extends Combinable>({ kind }: Entry): CombinedKind<Entry> {
  return combinedKinds[kind] as unknown as CombinedKind<Entry>;
}

/** Combine the interventions of one place, of which there is one at least. */
function combined(entries: readonly Combinable[]): CombinedChange {
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

/** Return whether every input of a closing has its neutral value; one without inputs leaves its joint as it is. */
function isNeutralClosing({ closing, tensors }: JointClosing): boolean {
  const inputs = closingTable.find((entry) => entry.closing === closing)?.inputs;
  // An unknown closing is refused where it is applied.
  if (inputs === undefined) return false;
  return inputs.every(
    ({ name, neutral }) => tensors[name]?.data.every((value) => value === neutral) ?? false,
  );
}

function textOf(change: Change): string {
  if (change.kind !== 'closing') return change.values.join();
  const { closing, positions, tensors } = change;
  const where = positions === null ? 'all' : `${positions.start}-${positions.end}`;
  const given = Object.keys(tensors)
    .sort()
    .map((name) => {
      const { dims = [], data = new Uint8Array() } = tensors[name] ?? {};
      return `${name} ${dims.join('x')} ${data.length} ${exactText(data)}`;
    });
  return [closing, where, ...given].join(' ');
}

/** Return the numbers bit by bit as text, far shorter and faster than digits: an edit may hold a million of them. */
function exactText({ buffer, byteOffset, byteLength }: Float32Array | Uint8Array): string {
  const bytes = new Uint8Array(buffer, byteOffset, byteLength);
  let text = '';
  for (let at = 0; at < bytes.length; at += 4096)
    text += String.fromCharCode(...bytes.subarray(at, at + 4096));
  return text;
}
