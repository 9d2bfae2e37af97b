// The interface of stores that keep pieces of models between visits, by digest, and one that keeps nothing.
// opfs_store.ts keeps them in the browser's private file system.

/** Store of pieces of all models. Bytes are found by their digest alone, whatever address they came from. */
export interface ChunkStore {
  /** True if pieces written now may be there at the next visit. */
  readonly keeps: boolean;
  /** Fill `into` with the piece of this digest; false where it is missing, incomplete or damaged. */
  read(digest: string, into: Uint8Array<ArrayBuffer>): Promise<boolean>;
  /**
   * Open the piece with this digest and size; null if it is missing or has another size. Its bytes were verified when
   * they were read or written, so they are not verified again.
   */
  open(digest: string, bytes: number): Promise<StoredPiece | null>;
  /** Store a piece. Never rejects: a piece that cannot be stored is fetched again the next time. */
  write(digest: string, bytes: Uint8Array<ArrayBuffer>): Promise<WriteResult>;
}

/** A stored piece that can be read by range while it is open. */
export interface StoredPiece {
  /** Fill `into` with the bytes from offset `at`. Throws if there are fewer bytes. */
  read(into: Uint8Array, at: number): void;
  close(): void;
}

export type WriteResult = 'kept' | 'no-room' | 'failed';

export const noStore: ChunkStore = {
  keeps: false,
  read: () => Promise.resolve(false),
  open: () => Promise.resolve(null),
  write: () => Promise.resolve('failed' as const),
};
