// The memory of one file's pieces while it is downloaded. A graph is one array that its pieces fill. For weights, only
// pieces that are being downloaded are in memory, and those that the store has no room for.
import type { FileDescriptor } from '../../contract/generated';
import type { ProvenPiece } from '../weights/piece_ranges';
import { emptied } from '../weights/byte_ranges';
import { allocate } from './file_memory';
import type { Piece } from './transfer';

type Bytes = Uint8Array<ArrayBuffer>;

/** A piece to download. */
export interface ArrivingPiece extends Piece {
  /** Return the memory to download into. Throws a BundleError if none can be allocated. */
  memory(): Bytes;
  /** Record that the memory holds the right bytes, and whether the store has them too. */
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

  /** The file's bytes, complete once every piece is proven. */
  get bytes(): Bytes {
    return this.#whole;
  }
}

/** A weights file: its proven pieces, each in the store or in its own memory. */
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

  /** Return the pieces in order, once all are proven. */
  get proven(): readonly ProvenPiece[] {
    return this.#proven.filter((piece) => piece !== null);
  }
}

function piecesOf(file: FileDescriptor): readonly Piece[] {
  return file.chunks ?? [file];
}

/** A pool of buffers for pieces that are being downloaded. Most pieces have the same size, so buffers are reused. */
export class PieceBuffers {
  readonly #free: ArrayBuffer[] = [];

  /** Return a buffer. Throws a BundleError if none can be allocated. */
  take(path: string, bytes: number): Bytes {
    const fits = this.#free.findIndex(({ byteLength }) => byteLength >= bytes);
    const [buffer] = fits < 0 ? [] : this.#free.splice(fits, 1);
    return buffer === undefined ? allocate(path, bytes) : new Uint8Array(buffer, 0, bytes);
  }

  give({ buffer }: Bytes): void {
    this.#free.push(buffer);
  }

  /** Free all buffers at once, before the runtime allocates its own memory. */
  release(): void {
    for (const buffer of this.#free.splice(0)) emptied(buffer);
  }
}
