// Allocates arrays for whole files, within the browsers' limits.
import memory from '../../../../../contracts/browser_memory.json' with { type: 'json' };
import { BundleError } from '../bundle_error';

/** Browsers refuse an ArrayBuffer beyond about this size, and it is the limit of Protocol Buffers too. */
export const maxFileBytes = memory.file_bytes;

/** Allocate an array. Throws a BundleError where the browser gives none of this size. */
export function allocate(path: string, bytes: number): Uint8Array<ArrayBuffer> {
  if (bytes > maxFileBytes) {
    throw new BundleError({ kind: 'too-large', path, bytes, limit: maxFileBytes });
  }
  try {
    return new Uint8Array(bytes);
  } catch (cause) {
    throw new BundleError({ kind: 'too-large', path, bytes, limit: maxFileBytes }, { cause });
  }
}
