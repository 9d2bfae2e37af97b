// How much memory the activations of one text take, and how much there is for them beside the weights. Pure arithmetic
// over the manifest and the device's answers, so that it is known before anything is computed.
import { elementCount, resolveShape } from '../contract/activation_table';
import type { TensorSpec, Variant } from '../contract/generated';
import type { OpenedModel } from './model_types';
import { heapBytes, memoryLimit, readBytes } from './variant_fitness';

const MiB = 2 ** 20;

/** float32 as the graphs give it; token ids arrive as int32. */
const bytesPerNumber = 4;

/** What a page may take for activations in any case: where the browser doesn't say how much memory there is, or the
 * weights alone are over what it may count on and were opened all the same. */
const leastRoom = 512 * MiB;

/** No failure for want of memory is put down to fewer bytes of activations than these. */
export const leastLearned = 32 * MiB;

/** Why there is no more room: what WebAssembly can address, a guess from the device's memory, or what failed before. */
export type RoomLimit = 'heap' | 'memory' | 'failed';

export interface Room {
  /** Bytes of activations of one text. */
  readonly bytes: number;
  readonly limit: RoomLimit;
}

/** Bytes of each activation of the variant for one text of so many tokens, by name. */
export function activationBytes(variant: Variant, tokens: number): ReadonlyMap<string, number> {
  const run = { batch: 1, seq: tokens, past: 0 };
  const bytesOf = ({ name, shape }: TensorSpec) =>
    [name, elementCount(resolveShape(shape, run)) * bytesPerNumber] as const;
  return new Map([
    ...variant.plain.activations.outputs.map(bytesOf),
    ...variant.interactive.activations.outputs.map(bytesOf),
    ...variant.taps.flatMap(({ outputs }) => outputs.map(bytesOf)),
  ]);
}

/** Bytes of these activations together for one text of so many tokens; unknown names take none. */
export function bytesOfActivations(
  variant: Variant,
  names: readonly string[],
  tokens: number,
): number {
  const sizes = activationBytes(variant, tokens);
  return names.reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0);
}

/** What weighs on the memory beside the activations of one text. */
export interface Load {
  /** How often the page holds a text: with and without its interventions. */
  readonly texts: number;
  /** Bytes of weights and activations together that were too much before; null where nothing failed. */
  readonly tooMuch: number | null;
  /** Only what WebAssembly can address is counted, no guess and nothing learned. */
  readonly isForced: boolean;
}

/**
 * The room for the activations of one text: they stand in the runtime's memory, which never shrinks again, and as often
 * in the page's as it holds a text.
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
    // Half of what was too much: with a smaller step down, the way to what works would be a row of failures.
    if (tooMuch !== null)
      rooms.push({ bytes: Math.max(leastLearned, share(tooMuch) / 2), limit: 'failed' });
  }
  return rooms.reduce((least, room) => (room.bytes < least.bytes ? room : least), {
    bytes: Infinity,
    limit: 'memory',
  });
}

/** Bytes of weights and of these activations together, at the most that the page and the runtime take of them. */
export function memoryWith(model: OpenedModel, activations: number, texts: number): number {
  return weightMemory(model) + activations * (1 + texts);
}

function weightMemory({ variant, facts, offer }: OpenedModel): number {
  const offered = offer.variants.find(({ name }) => name === variant.name);
  return offered?.on[facts.provider].memory ?? 0;
}
