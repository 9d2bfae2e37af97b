// Arrays for whole files, within what browsers give.
import { BundleError } from './bundle_error';

/** Browsers refuse an ArrayBuffer beyond about this, and Protocol Buffers end here too. */
export const maxFileBytes = 2 ** 31 - 1;

/** Throws a BundleError where the browser gives no array of this size. */
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
