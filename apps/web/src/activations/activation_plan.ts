// Chooses the requested activations to open where the device has no memory for all of them.
import type { Variant } from '../contract/generated';
import { sessionGraph } from '../contract/variant_graphs';
import { activationBytes, type Room, type RoomLimit } from '../inference/activation_memory';
import { offerOf } from './activation_offer';

/** Activations that were requested but stay closed for want of memory. */
export interface LeftOut {
  readonly names: ReadonlySet<string>;
  /** Number of requested activations that are open. */
  readonly open: number;
  /** Number of tokens of the text. */
  readonly tokens: number;
  /** Bytes of all requested activations for that text. */
  readonly bytes: number;
  /** Bytes available for them. */
  readonly room: number;
  readonly limit: RoomLimit;
}

export interface Plan {
  readonly open: readonly string[];
  readonly leftOut: LeftOut | null;
}

export interface Wish {
  readonly variant: Variant;
  /** In the order in which they were asked for. */
  readonly wanted: readonly string[];
  readonly tokens: number;
  readonly room: Room;
  /** Activations that are open now and may stay so; null where the reader has just asked for others. */
  readonly staying: readonly string[] | null;
}

/** Spare room when activations are chosen: a text that grows by one token must not need a new session each time. */
const margin = 1.25;

/** Plan to open everything where it fits; else the exported activations first, then the others in requested order. */
export function planActivations({ variant, wanted, tokens, room, staying }: Wish): Plan {
  const sizes = activationBytes(variant, tokens);
  const bytes = total(wanted, sizes);
  if (bytes <= room.bytes) return { open: wanted, leftOut: null };
  const units = unitsOf(variant, wanted);
  const isKept =
    staying !== null &&
    total(staying, sizes) <= room.bytes &&
    isPart(staying, wanted) &&
    staying.every((name) => isPart(units.get(name) ?? [name], staying));
  const open = isKept ? staying : choose(variant, wanted, tokens, room, units, staying === null);
  const isOpen = new Set(open);
  const names = new Set(wanted.filter((name) => !isOpen.has(name)));
  const leftOut = { names, open: open.length, tokens, bytes, room: room.bytes, limit: room.limit };
  return { open, leftOut: names.size === 0 ? null : leftOut };
}

type Units = ReadonlyMap<string, readonly string[]>;

/** Return, for each name, those of `wanted` that open with it. One tap of the lens gives both ids and probabilities. */
function unitsOf(variant: Variant, wanted: readonly string[]): Units {
  const asked = new Set(wanted);
  return new Map(
    variant.taps.flatMap(({ outputs }) => {
      const names = outputs.map(({ name }) => name);
      return names.map((name) => [name, names.filter((other) => asked.has(other))] as const);
    }),
  );
}

function choose(
  variant: Variant,
  wanted: readonly string[],
  tokens: number,
  room: Room,
  units: Units,
  isExact: boolean,
): string[] {
  const { context_length } = sessionGraph(variant).activations.model;
  const ahead = isExact ? tokens : Math.min(context_length, Math.ceil(tokens * margin));
  const sizes = activationBytes(variant, Math.max(tokens, ahead));
  const { exported } = offerOf(variant);
  const inOrder = [
    ...wanted.filter((name) => exported.has(name)),
    ...wanted.filter((name) => !exported.has(name)),
  ];
  const open = new Set<string>();
  let taken = 0;
  for (const name of inOrder) {
    if (open.has(name)) continue;
    const unit = units.get(name) ?? [name];
    const more = total(unit, sizes);
    if (taken + more > room.bytes) continue;
    taken += more;
    for (const each of unit) open.add(each);
  }
  return wanted.filter((name) => open.has(name));
}

/** Return whether both lists have the same names, in any order. */
export function areSame(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && isPart(some, others);
}

function isPart(part: readonly string[], whole: readonly string[]): boolean {
  const all = new Set(whole);
  return part.every((name) => all.has(name));
}

function total(names: readonly string[], sizes: ReadonlyMap<string, number>): number {
  return names.reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0);
}
