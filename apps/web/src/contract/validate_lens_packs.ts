// Checks of a manifest's lens packs that a JSON schema cannot express: each belongs to the model, its file is listed
// and named by its digest, and every variant has a tap for each layer that the pack maps. The same rules in Python:
// oriel/contract/lens_packs.py.
import { activationSpec, contractVersion } from './activation_table';
import type { LensPackRecord, Manifest, ModelShape, Tap } from './generated';
import { unsoundBytes, type PackFile } from './validate_tap_bytes';
import { pathsReadBy } from './variant_graphs';

/** Return the name of a pack's file in a bundle. `digest`: "sha256:" and 64 hexadecimal digits. */
function packPath(digest: string): string {
  return `lens_${digest.replace('sha256:', '')}.safetensors`;
}

/** Return the layers that a pack maps: all but the last, whose stream the model itself reads. */
export function mappedLayers({ layers }: ModelShape): number[] {
  return Array.from({ length: layers - 1 }, (_, layer) => layer);
}

/** Return what is wrong with the lens packs of a manifest, or null. */
export function unsoundLensPacks(manifest: Manifest): string | null {
  const taken = new Set(manifest.variants.flatMap(pathsReadBy).map((path) => path.toLowerCase()));
  const names = new Set<string>();
  for (const pack of manifest.lens_packs ?? []) {
    if (names.has(pack.name)) return `two lenses are called ${pack.name}`;
    names.add(pack.name);
    const problem = unsoundPack(pack, manifest, taken);
    if (problem !== null) return `lens ${pack.name}: ${problem}`;
  }
  return null;
}

function unsoundPack(
  { path, description, taps }: LensPackRecord,
  { model, files, variants }: Manifest,
  taken: ReadonlySet<string>,
): string | null {
  const layers = mappedLayers(model.shape);
  if (description.weights !== model.weights_digest) {
    return `it belongs to another model, ${description.weights.slice(0, 23)}`;
  }
  const measured = description.fitted.kl.map(({ layer }) => layer);
  if (measured.length !== layers.length || measured.some((layer, at) => layer !== at)) {
    return 'it was measured on other layers than it has maps for';
  }
  const named = Object.keys(taps);
  if (named.length !== variants.length || variants.some(({ name }) => !named.includes(name))) {
    return 'it has taps for other variants than there are';
  }
  const file = files.find((each) => each.path === path);
  if (file === undefined) return `${path} is used but not listed in files`;
  if (path !== packPath(file.digest)) return 'its file is not named by its digest';
  if (taken.has(path.toLowerCase())) return "its file is a variant's as well";
  const held = { path, bytes: file.bytes, hidden: model.shape.hidden };
  for (const [variant, own] of Object.entries(taps)) {
    const problem = unsoundTaps(own, model.shape, held);
    if (problem !== null) return `${variant}: ${problem}`;
  }
  return null;
}

function unsoundTaps(taps: readonly Tap[], shape: ModelShape, held: PackFile): string | null {
  const layers = mappedLayers(shape);
  if (taps.length !== layers.length) return 'it has not one tap for each layer but the last';
  for (const layer of layers) {
    const tap = taps[layer];
    const names = [`layer_${layer}_lens_ids`, `layer_${layer}_lens_probs`];
    const isLens =
      tap?.outputs.length === names.length &&
      tap.outputs.every((output, at) => {
        const wanted = activationSpec(output.name, shape, contractVersion);
        return (
          output.name === names[at] &&
          output.dtype === wanted?.dtype &&
          output.shape.length === wanted.shape.length &&
          output.shape.every((size, axis) => size === wanted.shape[axis])
        );
      });
    if (!isLens) return `its taps don't give the lens of layer ${layer}`;
    const problem = unsoundBytes(tap, held);
    if (problem !== null) return `the tap of layer ${layer}: ${problem}`;
  }
  return null;
}
