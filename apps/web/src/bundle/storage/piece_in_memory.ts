// A piece of a file that is read by range as a stored one is, but lies in memory: the browser had no room for it.
import type { StoredPiece } from './chunk_store';

export function pieceInMemory(bytes: Uint8Array): StoredPiece {
  return {
    read: (into, at) => {
      into.set(bytes.subarray(at, at + into.length));
    },
    close: () => undefined,
  };
}
