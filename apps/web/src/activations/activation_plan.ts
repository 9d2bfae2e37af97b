// Which of the activations that were asked for are opened, where the device has no room for all of them.
import type { Variant } from '../contract/generated';
import { activationBytes, type Room, type RoomLimit } from '../inference/activation_memory';
import { offerOf } from './activation_offer';

/** What stays closed although it was asked for. */
export interface LeftOut {
  readonly names: ReadonlySet<string>;
  /** How many of those asked for are open. */
  readonly open: number;
  /** Of the text that this is about. */
  readonly tokens: number;
  /** Bytes of all that were asked for, for that text. */
  readonly bytes: number;
  /** Bytes that there are for them. */
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
  /** What is open now, where it may stay as it is; null where the reader has just asked for something else. */
  readonly staying: readonly string[] | null;
}

/** A text that grows by a token at a time must not make a new session with each. */
const margin = 1.25;

/** Everything where it fits; else what was exported first, then what was asked for first. */
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

/** For each name those of `wanted` that open with it. A tap opens whole: the lens gives ids and probabilities together. */
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
  const { context_length } = variant.interactive.activations.model;
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

/** The same names, in any order. */
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
