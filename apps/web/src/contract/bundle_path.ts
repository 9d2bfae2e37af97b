// Paths of files in a bundle, by the schema's own rule: for those that no manifest lists, as in a bare graph.
import { validatePath } from 'virtual:oriel/manifest-validator';

/** A file beside the graph or below it, called as no address or disk reads otherwise. */
export function isBundlePath(path: string): boolean {
  return validatePath(path);
}
