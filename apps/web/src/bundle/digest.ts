// SHA-256 in the contract's notation. Comparing it with what the manifest says is read_file.ts.

/** `sha256:` and 64 hex digits. Runs natively where the browser lets it, off the calling thread. */
export async function sha256Digest(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const hash = await sha256(bytes);
  return `sha256:${Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  // Browsers hide SubtleCrypto from pages served without TLS from another machine, as in a class room.
  const subtle = (globalThis.crypto as Crypto | undefined)?.subtle;
  if (subtle !== undefined) return new Uint8Array(await subtle.digest('SHA-256', bytes));
  const { sha256: hash } = await import('@noble/hashes/sha2.js');
  return hash(bytes);
}
