// Computes the memory that the features of dictionaries take on a text. Pure arithmetic on the manifest.
import type { Manifest, Variant } from '../contract/generated';
import { featuresName } from '../contract/validate_dictionaries';
import { bytesOfActivations, roomForActivations } from './activation_memory';
import { dictionariesOf } from './dictionary_names';
import type { OpenedModel } from './model_types';

/** The file as the page holds it, and its encoder in the runtime: as stored, and once more as float32 numbers. */
const copies = 3;

/** Return the bytes of the dictionaries whose features are among these outputs, and of their features on one text. */
export function dictionaryBytes(
  manifest: Manifest,
  variant: Variant,
  outputs: readonly string[],
  tokens: number,
): number {
  return dictionariesOf(manifest, outputs).reduce((sum, { name, path, taps }) => {
    const tap = taps[variant.name];
    const file = manifest.files.find((each) => each.path === path);
    const own = tap === undefined ? variant : { ...variant, taps: [tap] };
    const features = bytesOfActivations(own, [featuresName(name)], tokens);
    return sum + copies * (file?.bytes ?? 0) + features;
  }, 0);
}

/** Bytes that a dictionary takes with its features, and those that there probably are for it. */
export interface LackOfRoom {
  readonly needed: number;
  readonly room: number;
}

/** Return the bytes of a dictionary with its features on one text where they are more than the room; else null. */
export function dictionaryOverRoom(
  opened: OpenedModel,
  name: string,
  tokens: number,
): LackOfRoom | null {
  const outputs = [featuresName(name)];
  const needed = dictionaryBytes(opened.manifest, opened.variant, outputs, tokens);
  const load = { texts: 1, tooMuch: null, isForced: false };
  const { bytes: room } = roomForActivations(opened, load);
  return needed > room ? { needed, room } : null;
}
