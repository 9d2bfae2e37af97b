// Ranges of published files as a source of bytes: a range is opened by a path of its own, so that downloads retry,
// prove and keep it as they do whole files. A host that ignores ranges sends a whole chunk, of which the rest is cut.
import type { FileDescriptor } from '../../contract/generated';
import { BundleError } from '../bundle_error';
import type { ByteSource, ByteStream, ReadOptions } from '../sources/byte_source';

/** Bytes of a file of which a host without ranges may send all for the sake of a part. */
const mostCutBytes = 16 * 2 ** 20;

/** A part of a file, with a digest of its own. */
export interface FileRange {
  readonly begin: number;
  readonly bytes: number;
  readonly digest: string;
}

/** Bytes of one stored file. */
interface Stretch {
  readonly path: string;
  readonly bytes: number;
  readonly from: number;
  readonly to: number;
}

/** A range as a file that a RangeSource opens. */
export function rangeFile(
  file: FileDescriptor,
  { begin, bytes, digest }: FileRange,
): FileDescriptor {
  return { path: `${file.path}#${begin}`, media_type: file.media_type, bytes, digest };
}

/** List where the bytes from `begin` to `end` of a file lie, in its chunks or in itself. */
export function stretchesOf(file: FileDescriptor, begin: number, end: number): Stretch[] {
  const found: Stretch[] = [];
  let first = 0;
  for (const { path, bytes } of file.chunks ?? [file]) {
    const [from, to] = [Math.max(begin - first, 0), Math.min(end - first, bytes)];
    if (from < to) found.push({ path, bytes, from, to });
    first += bytes;
  }
  return found;
}

export class RangeSource implements ByteSource {
  readonly #source: ByteSource;
  readonly #ranges = new Map<string, { file: FileDescriptor; range: FileRange }>();

  /** Takes the ranges that will be opened, by the paths that `rangeFile` gives them. */
  constructor(source: ByteSource, file: FileDescriptor, ranges: readonly FileRange[]) {
    this.#source = source;
    for (const range of ranges) this.#ranges.set(rangeFile(file, range).path, { file, range });
  }

  locate(path: string): string {
    const known = this.#ranges.get(path);
    if (known === undefined) return this.#source.locate(path);
    const [first] = stretchesOf(known.file, known.range.begin, known.range.begin + 1);
    return this.#source.locate(first?.path ?? known.file.path);
  }

  async open(path: string, signal: AbortSignal, options: ReadOptions = {}): Promise<ByteStream> {
    const known = this.#ranges.get(path);
    if (known === undefined) return this.#source.open(path, signal, options);
    const { from = 0, ...more } = options;
    const { begin, bytes } = known.range;
    const stretches = stretchesOf(known.file, begin + from, begin + bytes);
    const next = (stretch: Stretch): Promise<Opened> => this.#stretch(stretch, signal, more);
    const [first, ...rest] = stretches;
    // Nothing is left where the connection broke behind the last byte.
    if (first === undefined) return { chunks: new Blob([]).stream(), isHtml: false, start: from };
    const opened = await next(first);
    return { chunks: joined(opened, rest, next), isHtml: opened.isHtml, start: from };
  }

  async #stretch(stretch: Stretch, signal: AbortSignal, options: ReadOptions): Promise<Opened> {
    const { path, from, to, bytes } = stretch;
    const stream = await this.#source.open(path, signal, { ...options, from, to });
    const skip = from - stream.start;
    if (stream.isHtml || (skip >= 0 && (skip === 0 || bytes <= mostCutBytes)))
      return { ...stream, skip, left: to - from };
    await stream.chunks.cancel();
    const url = this.#source.locate(path);
    throw new BundleError({ kind: 'no-ranges', url, got: stream.start, expected: from });
  }
}

interface Opened extends ByteStream {
  /** Bytes that come before the wanted ones. */
  readonly skip: number;
  readonly left: number;
}

/** Stream the wanted bytes of stretches one after another. */
function joined(
  first: Opened,
  rest: Stretch[],
  next: (stretch: Stretch) => Promise<Opened>,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  let { skip, left } = first;
  let reader = first.chunks.getReader();
  return new ReadableStream({
    async pull(controller) {
      for (;;) {
        const { done, value } = await reader.read();
        // Bytes that are missing show by the digest.
        if (done || left === 0) {
          await reader.cancel();
          const following = rest.shift();
          if (following === undefined) {
            controller.close();
            return;
          }
          const opened = await next(following);
          ({ skip, left } = opened);
          reader = opened.chunks.getReader();
          continue;
        }
        const wanted = value.subarray(Math.min(skip, value.length)).subarray(0, left);
        skip -= Math.min(skip, value.length);
        left -= wanted.length;
        if (wanted.length > 0) {
          controller.enqueue(wanted);
          // A whole file's rest isn't waited for.
          if (left === 0 && rest.length === 0) {
            await reader.cancel();
            controller.close();
          }
          return;
        }
      }
    },
    cancel: (reason) => reader.cancel(reason),
  });
}
