// A piece of a file in memory, read by range like a stored one: for pieces that the browser's store has no room for.
import type { StoredPiece } from './chunk_store';

export function pieceInMemory(bytes: Uint8Array): StoredPiece {
  return {
    read: (into, at) => {
      into.set(bytes.subarray(at, at + into.length));
    },
    close: () => undefined,
  };
}
