// Tells bytes that a disk changed, or that a closing tab left half written, from those that were kept. Strangers cannot
// write there, so it need not withstand them as the digest does that proves what comes over a network: digest.ts.
import { createXXHash64, type IHasher } from 'hash-wasm';

/** What follows a piece's bytes in its file. */
export const checksumBytes = 8;

let hasher: Promise<IHasher> | null = null;

/** XXH64, several times as fast as SHA-256. */
export async function storageChecksum(bytes: Uint8Array): Promise<Uint8Array> {
  const { init } = await (hasher ??= createXXHash64());
  // In one go: other pieces use the same hasher.
  return init().update(bytes).digest('binary');
}
