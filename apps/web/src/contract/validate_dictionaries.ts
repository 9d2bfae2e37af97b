// Checks of a manifest's dictionaries that a JSON schema cannot express: each belongs to the model, fits its sizes, has a
// file of its own that is named by its digest, and a tap for every variant. The same rules in Python:
// oriel/contract/dictionaries.py.
import { activationName, activationSpec, contractVersion } from './activation_table';
import type {
  DictionaryActivation,
  DictionaryDescription,
  DictionaryRecord,
  Manifest,
  ModelShape,
  Tap,
  TensorSpec,
} from './generated';
import { unsoundDictionaryTap, type DictionaryFile } from './validate_tap_bytes';
import { pathsReadBy } from './variant_graphs';

/** Tensors that features are computed with; threshold only with jumprelu. */
export const encoderTensors = ['encoder_weight', 'encoder_bias', 'threshold'] as const;

const prefix = 'features_';

/** Return the output that holds a dictionary's features, whose name is also their kind as units. */
export function featuresName(name: string): string {
  return `${prefix}${name}`;
}

/** Return the name of the dictionary whose features are units of a kind; null for units of the model itself. */
export function dictionaryOfKind(kind: string): string | null {
  return kind.startsWith(prefix) ? kind.slice(prefix.length) : null;
}

/** Return the name of a dictionary's file in a bundle. `digest`: "sha256:" and 64 hexadecimal digits. */
function dictionaryPath(digest: string): string {
  return `dictionary_${digest.replace('sha256:', '')}.safetensors`;
}

/** Return the specification of an activation that a dictionary reads or writes; null where the model lacks it. */
export function rowSpec(
  { kind, layer }: DictionaryActivation,
  shape: ModelShape,
): TensorSpec | null {
  return activationSpec(activationName(kind, layer), shape, contractVersion);
}

/** Return the width of an activation's row at one token, all heads together. */
export function rowWidth({ shape }: TensorSpec): number {
  return shape.reduce<number>(
    (width, size) => (typeof size === 'number' ? width * size : width),
    1,
  );
}

/** Return the sizes of the tensors that a dictionary's file must have, by name; null where the model lacks an activation. */
export function tensorShapes(
  { reads, writes, features, activation }: DictionaryDescription,
  shape: ModelShape,
): Map<string, number[]> | null {
  const [from, to] = [rowSpec(reads, shape), rowSpec(writes, shape)];
  if (from === null || to === null) return null;
  const threshold: [string, number[]][] =
    activation === 'jumprelu' ? [['threshold', [features]]] : [];
  return new Map([
    ['encoder_weight', [rowWidth(from), features]],
    ['encoder_bias', [features]],
    ['decoder_weight', [features, rowWidth(to)]],
    ['decoder_bias', [rowWidth(to)]],
    ...threshold,
  ]);
}

/** Return what is wrong with the dictionaries of a manifest, or null. */
export function unsoundDictionaries(manifest: Manifest): string | null {
  const taken = new Set(manifest.variants.flatMap(pathsReadBy).map((path) => path.toLowerCase()));
  const names = new Set<string>();
  for (const record of manifest.dictionaries ?? []) {
    const { name, path } = record;
    if (names.has(name)) return `two dictionaries are called ${name}`;
    names.add(name);
    if (taken.has(path.toLowerCase())) {
      return `dictionary ${name}: its file is another dictionary's or a variant's as well`;
    }
    taken.add(path.toLowerCase());
    const problem = unsoundRecord(record, manifest);
    if (problem !== null) return `dictionary ${name}: ${problem}`;
  }
  return null;
}

function unsoundRecord(
  { name, path, description, taps }: DictionaryRecord,
  { model, files, variants }: Manifest,
): string | null {
  if (description.weights !== model.weights_digest) {
    return `it belongs to another model, ${description.weights.slice(0, 23)}`;
  }
  const problem = unsoundDescription(description, model.shape);
  if (problem !== null) return problem;
  const named = Object.keys(taps);
  if (named.length !== variants.length || variants.some((each) => !named.includes(each.name))) {
    return 'it has taps for other variants than there are';
  }
  const file = files.find((each) => each.path === path);
  if (file === undefined) return `${path} is used but not listed in files`;
  if (path !== dictionaryPath(file.digest)) return 'its file is not named by its digest';
  const output = featuresName(name);
  const shapes = tensorShapes(description, model.shape);
  const tensors = new Map(
    encoderTensors.flatMap((part) => {
      const sizes = shapes?.get(part);
      return sizes === undefined ? [] : [[`${output}/${part}`, sizes] as const];
    }),
  );
  const { kind, layer } = description.reads;
  const held = { path, bytes: file.bytes, tensors, reads: activationName(kind, layer) };
  for (const [variant, tap] of Object.entries(taps)) {
    const unsound = unsoundTap(tap, output, description.features, held);
    if (unsound !== null) return `${variant}: ${unsound}`;
  }
  return null;
}

/** Return what contradicts itself or the model's sizes in a description that is valid by its schema, or null. */
export function unsoundDescription(
  { kind, reads, writes, features, activation, k }: DictionaryDescription,
  shape: ModelShape,
): string | null {
  for (const [part, at] of Object.entries({ reads, writes })) {
    if (rowSpec(at, shape) === null) {
      return `it ${part} ${at.kind} of layer ${at.layer}, which the model doesn't have`;
    }
  }
  if (kind === 'sae' && (reads.kind !== writes.kind || reads.layer !== writes.layer)) {
    return 'it is an SAE that writes another activation than it reads';
  }
  if ((activation === 'topk') !== (k !== undefined)) {
    return 'it has a k without topk, or topk without a k';
  }
  return (k ?? 1) > features ? `its k is over its ${features} features` : null;
}

function unsoundTap(
  tap: Tap,
  output: string,
  features: number,
  held: DictionaryFile,
): string | null {
  const wanted = ['batch_size', 'sequence_length', features];
  const [given, ...others] = tap.outputs;
  const isIt =
    given?.name === output &&
    given.dtype === 'float32' &&
    given.shape.length === wanted.length &&
    given.shape.every((size, axis) => size === wanted[axis]);
  if (!isIt || others.length > 0) return `its tap doesn't give ${output} alone`;
  return unsoundDictionaryTap(tap, output, held);
}
