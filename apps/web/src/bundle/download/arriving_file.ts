// One file during its download: its memory, its pieces' places in it, and its weights, expanded as far as they arrived.
import type { Expansion, FileDescriptor } from '../../contract/generated';
import { WeightExpander } from '../weights/expand_weights';
import { allocate } from './file_memory';
import type { Piece } from './transfer';

export interface PlacedPiece extends Piece {
  /** The piece's own part of the file's memory. */
  readonly into: Uint8Array<ArrayBuffer>;
}

/**
 * A file while it arrives. Digests are of the downloaded bytes, which determine the expanded ones.
 * The downloaded bytes of an expanded file are freed with this object.
 */
export class ArrivingFile {
  /** The chunks of a file that was published in chunks; else the file is its only piece. */
  readonly pieces: readonly PlacedPiece[];
  /** Path by which graphs refer to the file. */
  readonly path: string;
  /** The bytes that graphs read, complete once every piece is verified. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Milliseconds spent on expanding, while bytes were still arriving. */
  expandMs = 0;
  readonly #arrived: Uint8Array<ArrayBuffer>;
  readonly #expansion: Expansion | undefined;
  readonly #proven = new Set<Piece>();
  /** Number of verified pieces from the file's start without a gap, and of their bytes. */
  #inOrder = 0;
  #provenBytes = 0;
  #expander: WeightExpander | null = null;
  #expanded = 0;

  /** Throw a BundleError where there is no memory for the file. */
  constructor(file: FileDescriptor, expansion: Expansion | undefined) {
    this.#expansion = expansion;
    this.#arrived = allocate(file.path, file.bytes);
    this.path = expansion?.path ?? file.path;
    this.bytes = expansion ? allocate(expansion.path, expansion.bytes) : this.#arrived;
    let at = 0;
    this.pieces = (file.chunks ?? [file]).map(({ path, bytes, digest }) => {
      const into = this.#arrived.subarray(at, (at += bytes));
      return { path, bytes, digest, into };
    });
  }

  /** Take note that so many bytes of a piece have arrived, not verified yet; fewer than before after a restart. */
  receive(bytes: number): void {
    // Chunks are small enough to be expanded only once they are verified.
    if (this.pieces.length === 1) this.#expandUpTo(bytes);
  }

  prove(piece: Piece): void {
    this.#proven.add(piece);
    for (;;) {
      const next = this.pieces[this.#inOrder];
      if (next === undefined || !this.#proven.has(next)) break;
      this.#inOrder++;
      this.#provenBytes += next.bytes;
    }
    this.#expandUpTo(this.#provenBytes);
  }

  #expandUpTo(here: number): void {
    if (this.#expansion === undefined) return;
    const began = performance.now();
    if (here < this.#expanded) {
      this.#expander = null;
      this.bytes.fill(0);
    }
    this.#expander ??= new WeightExpander(this.#expansion, this.#arrived, this.bytes);
    this.#expander.advance(here);
    this.#expanded = here;
    this.expandMs += performance.now() - began;
  }
}
