// Files that are read by range, and a substitute array that lets the runtime read them. piece_ranges.ts reads pieces;
// expanded_ranges.ts expands weights while they are read.

export interface ByteRanges {
  /** Size of the whole file in bytes. */
  readonly bytes: number;
  /** Fill `into` with the bytes from offset `at`. Throws if they can't be read. */
  read(into: Uint8Array<ArrayBuffer>, at: number): void;
}

/** Memory up to this size is used for one part after the other; more is freed before the next part is read. */
const reusedBytes = 16 * 2 ** 20;

/**
 * A Uint8Array that holds no bytes and reads each part on request. The runtime calls `subarray` for one tensor after
 * the other, and copies each into its own memory before the next, so the whole file is never in JavaScript's memory. A
 * JSPI build of the runtime also accepts a File, but other builds don't, and reading a File through another process
 * takes twice as long. A runtime that accessed the array in any other way would find it empty and fail to create the
 * session.
 */
export class RangeArray extends Uint8Array<ArrayBuffer> {
  readonly #ranges: ByteRanges;
  readonly #onError: (error: unknown) => void;
  /** The part that was requested last. */
  #part = new ArrayBuffer(0);

  /** `onError` is called with errors that `ranges` throws, since the runtime's own error doesn't contain them. */
  constructor(ranges: ByteRanges, onError: (error: unknown) => void) {
    super(new ArrayBuffer(0));
    this.#ranges = ranges;
    this.#onError = onError;
    Object.defineProperty(this, 'byteLength', { value: ranges.bytes });
  }

  /** Return a part, which is valid until the next one is requested. */
  override subarray(begin = 0, end: number = this.#ranges.bytes): Uint8Array<ArrayBuffer> {
    const bytes = end - begin;
    try {
      if (this.#part.byteLength < bytes || this.#part.byteLength > reusedBytes) {
        this.release();
        this.#part = new ArrayBuffer(bytes);
      }
      const part = new Uint8Array(this.#part, 0, bytes);
      this.#ranges.read(part, begin);
      return part;
    } catch (error) {
      this.#onError(error);
      throw error;
    }
  }

  /** Free the last part's memory now instead of at the next garbage collection. */
  release(): void {
    this.#part = emptied(this.#part);
  }
}

/** ArrayBuffer.prototype.transfer: in browsers since 2023, but not yet in the TypeScript library that we target. */
type Transferable = ArrayBuffer & { transfer?(bytes: number): ArrayBuffer };

/** Free a buffer's memory at once if the browser supports it; return an empty buffer. */
export function emptied(buffer: ArrayBuffer): ArrayBuffer {
  return (buffer as Transferable).transfer?.(0) ?? new ArrayBuffer(0);
}
