// Files whose bytes are read by range, and the same as what the runtime takes for an array. piece_ranges.ts reads pieces;
// expanded_ranges.ts expands weights as they are read.

export interface ByteRanges {
  /** Number of bytes of the whole file. */
  readonly bytes: number;
  /** Fill `into` from byte `at` on. Throws where that can't be read. */
  read(into: Uint8Array<ArrayBuffer>, at: number): void;
}

/**
 * An array without memory of its own: a part of it is read when it is asked for. The runtime asks for one tensor after the
 * other with `subarray`, and copies each into its own memory before the next, so that a file is never in memory whole.
 * A JSPI build would take a File as well, but the others don't, and a File is read through another process, which takes
 * twice as long. A runtime that reads its array otherwise finds it empty, and makes no session.
 */
export class RangeArray extends Uint8Array<ArrayBuffer> {
  readonly #ranges: ByteRanges;
  readonly #onError: (error: unknown) => void;
  /** The part that was asked for last. */
  #part = new ArrayBuffer(0);

  /** `onError` is called with what `ranges` throws: the runtime's own error has lost it. */
  constructor(ranges: ByteRanges, onError: (error: unknown) => void) {
    super(new ArrayBuffer(0));
    this.#ranges = ranges;
    this.#onError = onError;
    Object.defineProperty(this, 'byteLength', { value: ranges.bytes });
  }

  /** Return the part, which is right until the next one is asked for. */
  override subarray(begin = 0, end: number = this.#ranges.bytes): Uint8Array<ArrayBuffer> {
    const bytes = end - begin;
    try {
      if (this.#part.byteLength < bytes) {
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

  /** Give the memory of the last part back, which a garbage collection might do much later. */
  release(): void {
    this.#part = emptied(this.#part);
  }
}

/** ArrayBuffer.prototype.transfer, which browsers have since 2023 and TypeScript's libraries of that year lack. */
type Transferable = ArrayBuffer & { transfer?(bytes: number): ArrayBuffer };

/** Free a buffer's memory at once, where the browser can; return an empty one. */
export function emptied(buffer: ArrayBuffer): ArrayBuffer {
  return (buffer as Transferable).transfer?.(0) ?? new ArrayBuffer(0);
}
