// Checks of published files that a JSON schema cannot express: the chunks of a file add up to it, and a path means the
// same bytes wherever it occurs. The same rules in Python: oriel/contract/chunks.py.
import type { Manifest } from './generated';

/** Return what is wrong with a manifest's chunks, or null. */
export function unsoundChunks({ files }: Manifest): string | null {
  const known = new Map<string, string>();
  for (const file of files) {
    const { path, bytes, digest, chunks } = file;
    if (chunks !== undefined) {
      // Stop before the sum could exceed 2^53 and become inexact.
      let total = 0;
      for (const chunk of chunks) {
        total += chunk.bytes;
        if (total > bytes) break;
      }
      if (total !== bytes) return `file ${path}: its chunks don't add up to ${bytes} bytes`;
      if (chunks.length === 1 && chunks[0]?.digest !== digest) {
        return `file ${path}: its one chunk is of another digest`;
      }
    }
    for (const part of chunks ?? [file]) {
      const same = `${part.bytes} ${part.digest}`;
      if ((known.get(part.path) ?? same) !== same) {
        return `file ${path}: ${part.path} is described in two ways`;
      }
      known.set(part.path, same);
    }
  }
  return null;
}
