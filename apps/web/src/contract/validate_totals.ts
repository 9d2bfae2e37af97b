// Checks of a whole manifest that a JSON schema cannot express: the totals of its files, chunks and taps are within
// limits, and its paths are different files on every file system. The same rules in Python: oriel/contract/totals.py.
import limits from '../../../../contracts/limits.json' with { type: 'json' };
import type { Manifest, Variant } from './generated';
import { graphsOf } from './variant_graphs';

const most = limits.manifest;
const manifestName = 'manifest.json';

/** Return what is too large or ambiguous in a manifest that is valid by its schema, or null. */
export function unsoundTotals(manifest: Manifest): string | null {
  return (
    unsoundBytes(manifest) ??
    unsoundDigests(manifest) ??
    unsoundCounts(manifest) ??
    unsoundPaths(manifest) ??
    unsoundNames(manifest)
  );
}

interface Part {
  readonly path: string;
  readonly bytes: number;
  readonly digest: string;
}

/** Yield files, chunks, and the files that weights expand to. */
function* parts({ files, variants }: Manifest): Generator<Part> {
  for (const file of files) {
    yield file;
    yield* file.chunks ?? [];
  }
  for (const { expansion } of variants) if (expansion !== undefined) yield expansion;
}

function unsoundBytes(manifest: Manifest): string | null {
  for (const { path, bytes } of parts(manifest)) {
    if (bytes > most.file_bytes) return `${path} has ${bytes} bytes, over ${most.file_bytes}`;
  }
  // At most 4096 files and 64 expansions, none over 2^40 bytes: the sum is exact.
  const sizes = [
    ...manifest.files.map(({ bytes }) => bytes),
    ...manifest.variants.map(({ expansion }) => expansion?.bytes ?? 0),
  ];
  const total = sizes.reduce((sum, bytes) => sum + bytes, 0);
  return total > most.total_bytes ? `its files have over ${most.total_bytes} bytes` : null;
}

function unsoundDigests(manifest: Manifest): string | null {
  const sizes = new Map<string, number>();
  for (const { path, bytes, digest } of parts(manifest)) {
    if ((sizes.get(digest) ?? bytes) !== bytes) {
      return `${path} has the digest of something of another length`;
    }
    sizes.set(digest, bytes);
  }
  return null;
}

function unsoundCounts({
  files,
  variants,
  lens_packs: packs = [],
  dictionaries = [],
}: Manifest): string | null {
  const taps = [
    ...variants.flatMap(tapBytes),
    ...packs.flatMap((pack) => Object.values(pack.taps).flat()).map(({ bytes }) => bytes),
    ...dictionaries.flatMap((each) => Object.values(each.taps)).map(({ bytes }) => bytes),
  ];
  const counts = {
    chunks: files.reduce((sum, { chunks }) => sum + (chunks?.length ?? 0), 0),
    taps: taps.length,
    tap_characters: taps.reduce((sum, bytes) => sum + bytes.length, 0),
  };
  for (const name of ['chunks', 'taps', 'tap_characters'] as const) {
    if (counts[name] > most[name]) return `it has over ${most[name]} ${name.replace('_', ' ')}`;
  }
  return null;
}

function tapBytes({ taps, attribution }: Variant): string[] {
  const own = taps.map(({ bytes }) => bytes);
  if (attribution === undefined) return own;
  return [...own, attribution.model, ...attribution.layers, ...attribution.neurons];
}

function unsoundPaths({ files }: Manifest): string | null {
  const given = new Set(files.map(({ path }) => path));
  if (given.size !== files.length) return 'a file is described twice';
  const chunked = new Set(files.filter(({ chunks }) => chunks).map(({ path }) => path));
  const chunks = new Set(files.flatMap((file) => file.chunks ?? []).map(({ path }) => path));
  for (const path of chunks) {
    if (chunked.has(path)) return `${path} is cut into chunks and a chunk itself`;
  }
  return samePlace([manifestName, ...new Set([...given, ...chunks])]);
}

function unsoundNames({ variants }: Manifest): string | null {
  const names = new Set<string>();
  for (const variant of variants) {
    if (names.has(variant.name)) return `two variants are called ${variant.name}`;
    names.add(variant.name);
    const problem = unsoundOwnPaths(variant);
    if (problem !== null) return `variant ${variant.name}: ${problem}`;
  }
  return null;
}

/** Return an error if a variant's graphs, weights and expanded file are not all different files, or null. */
function unsoundOwnPaths(variant: Variant): string | null {
  const { weights, expansion } = variant;
  const paths = [manifestName, ...graphsOf(variant).map(([, { path }]) => path)];
  const problem = samePlace([...paths, ...weights]);
  if (problem !== null || expansion === undefined) return problem;
  return weights.includes(expansion.path)
    ? 'its weights expand to themselves'
    : samePlace([...paths, expansion.path]);
}

/** Return an error if two paths are one file, ignoring case, or one is a folder of another; else null. */
function samePlace(paths: readonly string[]): string | null {
  const taken = new Set<string>();
  const folders = new Set<string>();
  for (const path of paths) {
    const place = path.toLowerCase();
    if (taken.has(place) || folders.has(place)) return `${path} stands where another file does`;
    taken.add(place);
    for (let at = place.indexOf('/'); at >= 0; at = place.indexOf('/', at + 1)) {
      const folder = place.slice(0, at);
      if (taken.has(folder)) return `${path} lies in another file`;
      folders.add(folder);
    }
  }
  return null;
}
