// Computes the memory that the activations of one text take, and the room for them beside the weights. Pure arithmetic
// on the manifest and the device's answers, so that both are known before anything is computed.
import { elementCount, resolveShape } from '../contract/activation_table';
import type { TensorSpec, Variant } from '../contract/generated';
import { graphsOf } from '../contract/variant_graphs';
import type { OpenedModel } from './model_types';
import { heapBytes, memoryLimit, readBytes } from './variant_fitness';

const MiB = 2 ** 20;

/** float32 as the graphs give it; token ids arrive as int32. */
const bytesPerNumber = 4;

/** Bytes that a page may always use for activations, even where the browser doesn't report the device's memory or the
 * weights alone are over the page's share and were opened all the same. */
const leastRoom = 512 * MiB;

/** Fewer bytes of activations than these are never blamed for running out of memory. */
export const leastRecorded = 32 * MiB;

/** The reason for the limit: WebAssembly's address space, a guess from the device's memory, or an earlier failure. */
export type RoomLimit = 'heap' | 'memory' | 'failed';

export interface Room {
  /** Bytes of activations of one text. */
  readonly bytes: number;
  readonly limit: RoomLimit;
}

/** Compute the bytes of each activation of the variant, by name, for one text of so many tokens. */
export function activationBytes(variant: Variant, tokens: number): ReadonlyMap<string, number> {
  const run = { batch: 1, seq: tokens, past: 0 };
  const bytesOf = ({ name, shape }: TensorSpec) =>
    [name, elementCount(resolveShape(shape, run)) * bytesPerNumber] as const;
  return new Map([
    ...graphsOf(variant).flatMap(([, { activations }]) => activations.outputs.map(bytesOf)),
    ...variant.taps.flatMap(({ outputs }) => outputs.map(bytesOf)),
  ]);
}

/** Compute the bytes of these activations together for one text of so many tokens; unknown names take none. */
export function bytesOfActivations(
  variant: Variant,
  names: readonly string[],
  tokens: number,
): number {
  const sizes = activationBytes(variant, tokens);
  return names.reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0);
}

/** Everything else that the room for one text's activations depends on. */
export interface Load {
  /** Number of copies of a text's activations that the page holds: 2 with interventions (with and without), else 1. */
  readonly texts: number;
  /** Bytes of weights and activations together that were too much before; null where nothing failed. */
  readonly tooMuch: number | null;
  /** True where only WebAssembly's address space limits the room: no guess, and no earlier failure. */
  readonly isForced: boolean;
}

/**
 * Compute the room for the activations of one text. They are held once in the runtime's memory, which never shrinks
 * again, and `texts` times in the page's.
 */
export function roomForActivations(model: OpenedModel, { texts, tooMuch, isForced }: Load): Room {
  const { manifest, variant, facts, device } = model;
  const memory = weightMemory(model);
  const rooms: Room[] = [];
  if (facts.provider === 'wasm') {
    const inRuntime = memory - readBytes(manifest, variant);
    rooms.push({ bytes: Math.max(0, heapBytes - inRuntime), limit: 'heap' });
  }
  if (!isForced) {
    const share = (bytes: number): number => Math.floor((bytes - memory) / (1 + texts));
    rooms.push({ bytes: Math.max(leastRoom, share(memoryLimit(device))), limit: 'memory' });
    // Half of what was too much: smaller steps down would fail several times before one works.
    if (tooMuch !== null)
      rooms.push({ bytes: Math.max(leastRecorded, share(tooMuch) / 2), limit: 'failed' });
  }
  return rooms.reduce((least, room) => (room.bytes < least.bytes ? room : least), {
    bytes: Infinity,
    limit: 'memory',
  });
}

/** Return the most bytes that the page and the runtime take for the weights and these activations together. */
export function memoryWith(model: OpenedModel, activations: number, texts: number): number {
  return weightMemory(model) + activations * (1 + texts);
}

function weightMemory({ variant, facts, offer }: OpenedModel): number {
  const offered = offer.variants.find(({ name }) => name === variant.name);
  return offered?.on[facts.provider].memory ?? 0;
}
