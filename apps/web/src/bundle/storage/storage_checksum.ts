// A checksum that detects stored bytes that a disk corrupted or a closing tab left half written. Others cannot write to
// the storage, so it need not be cryptographic, unlike the digest of bytes from the network: digest.ts.
import { createXXHash64, type IHasher } from 'hash-wasm';

/** Number of bytes of the checksum, which follows a piece's bytes in its file. */
export const checksumBytes = 8;

let hasher: Promise<IHasher> | null = null;

/** Compute XXH64, which is several times as fast as SHA-256. */
export async function storageChecksum(bytes: Uint8Array): Promise<Uint8Array> {
  const { init } = await (hasher ??= createXXHash64());
  // Without an `await` in between: other pieces use the same hasher.
  return init().update(bytes).digest('binary');
}
