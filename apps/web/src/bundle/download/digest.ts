// SHA-256 in the contract's notation. transfer.ts compares it with the manifest's digest.
import { createSHA256, type IHasher } from 'hash-wasm';

/** Return `sha256:` and 64 hex digits. Computed natively and off the calling thread where the browser allows it. */
export async function sha256Digest(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  // Browsers hide SubtleCrypto from pages served without TLS from another machine, as in a classroom.
  const subtle = (globalThis.crypto as Crypto | undefined)?.subtle;
  if (subtle === undefined) return (await RunningDigest.start()).update(bytes).finish();
  const hash = new Uint8Array(await subtle.digest('SHA-256', bytes));
  return `sha256:${Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

/** SHA-256 computed while bytes arrive: SubtleCrypto needs all of them at once, and copies them. */
export class RunningDigest {
  readonly #hasher: IHasher;

  private constructor(hasher: IHasher) {
    this.#hasher = hasher;
  }

  static async start(): Promise<RunningDigest> {
    return new RunningDigest((await createSHA256()).init());
  }

  update(bytes: Uint8Array): this {
    this.#hasher.update(bytes);
    return this;
  }

  restart(): void {
    this.#hasher.init();
  }

  finish(): string {
    return `sha256:${this.#hasher.digest('hex')}`;
  }
}
