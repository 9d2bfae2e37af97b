// Checks paths of a bundle's files by the schema's own rule, for files that no manifest lists, as in a bare graph.
import { validatePath } from 'virtual:oriel/manifest-validator';

/** Return whether a path lies beside the graph or below it, and means the same in every URL and file system. */
export function isBundlePath(path: string): boolean {
  return validatePath(path);
}
