// Files whose bytes are read by range, and the same as what the runtime is given: a Blob where it reads ranges, an array
// elsewhere. piece_ranges.ts reads pieces; expanded_ranges.ts expands weights as they are read.
import { allocate } from '../download/file_memory';

export interface ByteRanges {
  /** Number of bytes of the whole file. */
  readonly bytes: number;
  /** Fill `into` from byte `at` on. Throws where that can't be read. */
  read(into: Uint8Array<ArrayBuffer>, at: number): void;
}

/** Read the whole file. Throws a BundleError where there is no memory for it. */
export function readWhole(path: string, ranges: ByteRanges): Uint8Array<ArrayBuffer> {
  const whole = allocate(path, ranges.bytes);
  ranges.read(whole, 0);
  return whole;
}

/**
 * A Blob whose bytes come from `ranges` whenever a part of it is read. The runtime asks a Blob for one tensor after the
 * other, so that a file is never in memory whole. A File of the browser's would do, but takes twice as long: it is read
 * through another process, where synchronous access reads straight into the array.
 */
export class RangeBlob extends Blob {
  readonly #ranges: ByteRanges;
  readonly #from: number;
  readonly #to: number;
  readonly #onError: (error: unknown) => void;

  /** `onError` is called with what `ranges` throws: the runtime's own error has lost it. */
  constructor(
    ranges: ByteRanges,
    onError: (error: unknown) => void,
    from = 0,
    to: number = ranges.bytes,
  ) {
    super([]);
    this.#ranges = ranges;
    this.#onError = onError;
    this.#from = from;
    this.#to = to;
  }

  override get size(): number {
    return this.#to - this.#from;
  }

  override slice(start = 0, end = this.size): Blob {
    const inside = (at: number): number =>
      Math.min(Math.max(at < 0 ? at + this.size : at, 0), this.size);
    const from = this.#from + inside(start);
    return new RangeBlob(
      this.#ranges,
      this.#onError,
      from,
      Math.max(from, this.#from + inside(end)),
    );
  }

  override stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    let at = this.#from;
    return new ReadableStream({
      type: 'bytes',
      autoAllocateChunkSize: 2 ** 20,
      pull: (controller) => {
        const request = controller.byobRequest;
        const view = request?.view as Uint8Array<ArrayBuffer> | null | undefined;
        if (!request || !view)
          throw new TypeError('the stream gives bytes into given memory alone');
        const count = Math.min(view.byteLength, this.#to - at);
        if (count === 0) {
          controller.close();
          request.respond(0);
          return;
        }
        try {
          this.#ranges.read(new Uint8Array(view.buffer, view.byteOffset, count), at);
        } catch (error) {
          this.#onError(error);
          throw error;
        }
        at += count;
        request.respond(count);
      },
    });
  }

  override async arrayBuffer(): Promise<ArrayBuffer> {
    return new Response(this.stream()).arrayBuffer();
  }
}
