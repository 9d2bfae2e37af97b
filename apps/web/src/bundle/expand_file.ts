// A weights file that is expanded while it arrives, and given out only once its own bytes are proven. How it is expanded:
// expand_weights.ts.
import type { Expansion, FileDescriptor } from '../contract/generated';
import type { ByteSource } from './byte_source';
import { WeightExpander } from './expand_weights';
import { allocate, readFile } from './read_file';

export interface ExpandedFile {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Time that the arithmetic took, while bytes were still arriving. */
  readonly expandMs: number;
}

/**
 * The digest is that of the bytes that travel: what they expand to follows from them. They are
 * dropped then. Rejects with a BundleError.
 */
export async function expandFile(
  source: ByteSource,
  descriptor: FileDescriptor,
  expansion: Expansion,
  signal: AbortSignal,
  onBytes: (count: number) => void,
): Promise<ExpandedFile> {
  const bytes = allocate(expansion.path, expansion.bytes);
  let expander: WeightExpander | null = null;
  let received = 0;
  let expandMs = 0;
  await readFile(source, descriptor, signal, (count, encoded) => {
    received += count;
    const began = performance.now();
    expander ??= new WeightExpander(expansion, encoded, bytes);
    expander.advance(received);
    expandMs += performance.now() - began;
    onBytes(count);
  });
  return { bytes, expandMs };
}
