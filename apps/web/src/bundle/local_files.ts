// Which of the visitor's own files are a model: a bundle's folder, published or not, or a bare graph. Reading them is
// file_source.ts; getting them from a drop, views/files/dropped_files.ts.
import { BundleError } from './bundle_error';
import { manifestName } from './bundle_url';
import type { LocalModel } from './file_source';

/** A file and where it lay, with forward slashes. */
export interface PlacedFile {
  readonly path: string;
  readonly file: File;
}

export interface FoundLocalModel extends LocalModel {
  /** What to call it before it is read: its folder, else its file. */
  readonly name: string;
}

/** More would be someone's whole disk; a published model has a file for every 8 MiB. */
export const mostFiles = 20_000;

/** How many names a message gives. */
const namedFiles = 6;

/** What file managers, archives and version control leave: no model has any. */
export function isJunk(name: string): boolean {
  return name.startsWith('.') || /^(?:__MACOSX|node_modules|Thumbs\.db|desktop\.ini)$/i.test(name);
}

/**
 * The manifest nearest to the top, else the graph nearest to the top, the interactive one first; all that
 * lies in its folder and below comes along. Throws a BundleError where there is neither, or too much.
 */
export function findLocalModel(given: readonly PlacedFile[]): FoundLocalModel {
  const files = given.filter(({ path }) => !path.split('/').some(isJunk));
  if (files.length > mostFiles) throw new BundleError({ kind: 'too-many-files', limit: mostFiles });
  const paths = files.map(({ path }) => path);
  const [entry] = nearest(paths.filter((path) => nameOf(path) === manifestName))
    // A version of a published model, taken without the newest.
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
  const rank = (path: string): number[] => [
    path.split('/').length,
    // It can do all that the plain one can, and more.
    Number(!path.endsWith('.interactive.onnx')),
    path.length,
  ];
  return paths.toSorted((a, b) => {
    const other = rank(b);
    const difference = rank(a).map((value, at) => value - (other[at] ?? 0));
    return difference.find((value) => value !== 0) ?? (a < b ? -1 : 1);
  });
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
