// What the browser keeps of models between visits, by digest: the interface, and what stands in where it keeps nothing.
// In the browser's private file system: opfs_store.ts.

/** Pieces of any model; whoever has a digest has the bytes, whatever address they came from. */
export interface ChunkStore {
  /** Whether pieces written now may be there at the next visit. */
  readonly keeps: boolean;
  /** Fills `into` with the piece of this digest; false where it is not there whole, or not what it was. */
  read(digest: string, into: Uint8Array<ArrayBuffer>): Promise<boolean>;
  /** Never rejects: a piece that cannot be kept is fetched anew the next time. */
  write(digest: string, bytes: Uint8Array<ArrayBuffer>): Promise<WriteResult>;
}

export type WriteResult = 'kept' | 'no-room' | 'failed';

export const forgetful: ChunkStore = {
  keeps: false,
  read: () => Promise.resolve(false),
  write: () => Promise.resolve('failed' as const),
};
