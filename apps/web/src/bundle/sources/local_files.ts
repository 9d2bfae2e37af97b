// Finds a model among the visitor's own files: a bundle's folder, published or not, or a graph without a manifest.
// file_source.ts reads them; views/files/dropped_files.ts gets them from a drop.
import { BundleError } from '../bundle_error';
import { manifestName } from '../address/bundle_url';
import type { LocalModel } from './file_source';

/** A file and its path, with forward slashes. */
export interface PlacedFile {
  readonly path: string;
  readonly file: File;
}

export interface FoundLocalModel extends LocalModel {
  /** Name to show before the model is read: its folder's, else its file's. */
  readonly name: string;
}

/** Maximum number of files. A published model has a file for every 8 MiB; more files are likely a whole disk. */
export const maxFiles = 20_000;

/** Maximum number of names in a message. */
const namedFiles = 6;

/** Return whether a name is one that file managers, archives or version control leave behind; no model has any. */
export function isJunk(name: string): boolean {
  return name.startsWith('.') || /^(?:__MACOSX|node_modules|Thumbs\.db|desktop\.ini)$/i.test(name);
}

/**
 * Find the manifest nearest to the top, else the graph nearest to the top, the one that can do most first,
 * and include all files in its folder and below. Throws a BundleError where there is neither, or too many files.
 */
export function findLocalModel(given: readonly PlacedFile[]): FoundLocalModel {
  const files = given.filter(({ path }) => !path.split('/').some(isJunk));
  if (files.length > maxFiles) throw new BundleError({ kind: 'too-many-files', limit: maxFiles });
  const paths = files.map(({ path }) => path);
  const [entry] = nearest(paths.filter((path) => nameOf(path) === manifestName))
    // A versioned manifest of a published model, copied without `manifest.json`.
    .concat(nearest(paths.filter((path) => /^manifest-.+\.json$/.test(nameOf(path)))))
    .concat(nearest(paths.filter((path) => /\.onnx$/i.test(path))));
  if (entry === undefined) {
    const names = paths.slice(0, namedFiles).map(nameOf);
    throw new BundleError({ kind: 'no-model-in-files', names, count: paths.length });
  }
  const folder = entry.slice(0, entry.length - nameOf(entry).length);
  const inFolder = files.filter(({ path }) => path.startsWith(folder));
  return {
    name: nameOf(folder.slice(0, -1)) || nameOf(entry),
    entry: nameOf(entry),
    files: new Map(inFolder.map(({ path, file }) => [path.slice(folder.length), file])),
  };
}

function nearest(paths: readonly string[]): string[] {
  const rank = (path: string): number[] => [path.split('/').length, abilityRank(path), path.length];
  return paths.toSorted((a, b) => {
    const other = rank(b);
    const difference = rank(a).map((value, at) => value - (other[at] ?? 0));
    return difference.find((value) => value !== 0) ?? (a < b ? -1 : 1);
  });
}

/** Rank a graph by its file's name: open and interactive ones can do all that decoders can, and these all that plain can. */
function abilityRank(path: string): number {
  if (/\.(?:open|interactive)\.onnx$/.test(path)) return 0;
  return path.endsWith('.plain.onnx') ? 2 : 1;
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
