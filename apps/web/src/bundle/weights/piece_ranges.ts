// Reads a file by range from its pieces, which lie in the store or in memory.
import type { ChunkStore, StoredPiece } from '../storage/chunk_store';
import { pieceInMemory } from '../storage/piece_in_memory';
import type { ByteRanges } from './byte_ranges';

/** A verified piece of a file: in the store, or in memory if the store has no room. */
export interface ProvenPiece {
  readonly digest: string;
  readonly bytes: number;
  /** Bytes in memory; null if the piece is in the store. */
  readonly held: Uint8Array<ArrayBuffer> | null;
}

interface PlacedPiece {
  readonly from: number;
  readonly to: number;
  readonly piece: StoredPiece;
}

/** The pieces of one file, kept open until `close` so that no other tab can remove them. */
export class PieceRanges implements ByteRanges {
  readonly bytes: number;
  readonly #pieces: readonly PlacedPiece[];

  private constructor(pieces: readonly PlacedPiece[]) {
    this.#pieces = pieces;
    this.bytes = pieces.at(-1)?.to ?? 0;
  }

  /** Open all pieces; null if the store lacks one of them. */
  static async open(
    pieces: readonly ProvenPiece[],
    store: ChunkStore,
  ): Promise<PieceRanges | null> {
    const opening = pieces.map(async ({ digest, bytes, held }) =>
      held === null ? await store.open(digest, bytes) : pieceInMemory(held),
    );
    let opened: (StoredPiece | null)[];
    try {
      opened = await Promise.all(opening);
    } catch (error) {
      // Pieces that stay open are locked for every tab.
      for (const each of opening)
        each.then(
          (piece) => piece?.close(),
          () => undefined,
        );
      throw error;
    }
    const placed: PlacedPiece[] = [];
    let at = 0;
    for (const [index, piece] of opened.entries()) {
      if (piece !== null) placed.push({ from: at, to: (at += pieces[index]?.bytes ?? 0), piece });
    }
    const ranges = new PieceRanges(placed);
    if (placed.length === pieces.length) return ranges;
    ranges.close();
    return null;
  }

  read(into: Uint8Array, at: number): void {
    const end = at + into.length;
    if (end > this.bytes) throw new RangeError(`no ${into.length} bytes at ${at} of ${this.bytes}`);
    for (const { from, to, piece } of this.#piecesFrom(at)) {
      if (from >= end) return;
      const count = Math.min(to, end) - at;
      const start = into.length - (end - at);
      piece.read(into.subarray(start, start + count), at - from);
      at += count;
    }
  }

  close(): void {
    for (const { piece } of this.#pieces) piece.close();
  }

  /** Yield the piece that holds a byte offset, and all later ones. */
  *#piecesFrom(at: number): Iterable<PlacedPiece> {
    let [low, high] = [0, this.#pieces.length];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((this.#pieces[middle]?.from ?? 0) <= at) low = middle;
      else high = middle;
    }
    for (let index = low; index < this.#pieces.length; index++) {
      const piece = this.#pieces[index];
      if (piece !== undefined) yield piece;
    }
  }
}
