// One file during its download: the memory of its pieces. A graph is one array that its pieces fill. Of weights only the
// pieces on their way are in memory, unless the store can't keep them.
import type { FileDescriptor } from '../../contract/generated';
import type { ProvenPiece } from '../weights/piece_ranges';
import { emptied } from '../weights/byte_ranges';
import { allocate } from './file_memory';
import type { Piece } from './transfer';

type Bytes = Uint8Array<ArrayBuffer>;

/** A piece that is to be fetched. */
export interface ArrivingPiece extends Piece {
  /** Return the memory that the bytes go to. Throws a BundleError where there is none. */
  memory(): Bytes;
  /** Take note that the memory has the right bytes, and whether the store keeps them too. */
  prove(bytes: Bytes, isStored: boolean): void;
}

export class ArrivingFile {
  readonly path: string;
  readonly pieces: readonly ArrivingPiece[];
  readonly #whole: Bytes;

  /** Throw a BundleError where there is no memory for the file. */
  constructor(file: FileDescriptor) {
    this.path = file.path;
    const whole = allocate(file.path, file.bytes);
    this.#whole = whole;
    let at = 0;
    this.pieces = piecesOf(file).map(({ path, bytes, digest }) => {
      const into = whole.subarray(at, (at += bytes));
      return { path, bytes, digest, memory: () => into, prove: () => undefined };
    });
  }

  /** The bytes, complete once every piece is proven. */
  get bytes(): Bytes {
    return this.#whole;
  }
}

/** A weights file: its proven pieces, each in the store or in memory of its own. */
export class ArrivingWeights {
  readonly path: string;
  readonly pieces: readonly ArrivingPiece[];
  readonly #proven: (ProvenPiece | null)[];

  constructor(file: FileDescriptor, buffers: PieceBuffers) {
    this.path = file.path;
    const proven: (ProvenPiece | null)[] = [];
    this.#proven = proven;
    this.pieces = piecesOf(file).map(({ path, bytes, digest }, index) => {
      proven.push(null);
      return {
        ...{ path, bytes, digest },
        memory: () => buffers.take(path, bytes),
        prove: (from, isStored) => {
          proven[index] = { digest, bytes, held: isStored ? null : from };
          if (isStored) buffers.give(from);
        },
      };
    });
  }

  /** Its pieces, in order, once all are proven. */
  get proven(): readonly ProvenPiece[] {
    return this.#proven.filter((piece) => piece !== null);
  }
}

function piecesOf(file: FileDescriptor): readonly Piece[] {
  return file.chunks ?? [file];
}

/** Memory for pieces on their way, used again: most pieces have one size. */
export class PieceBuffers {
  readonly #free: ArrayBuffer[] = [];

  /** Throw a BundleError where there is no memory. */
  take(path: string, bytes: number): Bytes {
    const fits = this.#free.findIndex(({ byteLength }) => byteLength >= bytes);
    const [buffer] = fits < 0 ? [] : this.#free.splice(fits, 1);
    return buffer === undefined ? allocate(path, bytes) : new Uint8Array(buffer, 0, bytes);
  }

  give({ buffer }: Bytes): void {
    this.#free.push(buffer);
  }

  /** Free the memory now: the runtime is about to need as much. */
  release(): void {
    for (const buffer of this.#free.splice(0)) emptied(buffer);
  }
}
