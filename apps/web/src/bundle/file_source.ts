// The visitor's own files as a source of bytes: chosen or dropped, read where they lie, sent nowhere. Which of many files
// are a model is local_files.ts.
import { BundleError } from './bundle_error';
import type { ByteSource, ByteStream, ByteWish } from './byte_source';

/** Crosses to the worker as it is: a File is a handle, not its bytes. */
export interface LocalModel {
  /** The manifest or the bare graph: a path of `files`. */
  readonly entry: string;
  /** By path from the folder that holds the entry. */
  readonly files: ReadonlyMap<string, File>;
}

export class FileByteSource implements ByteSource {
  readonly #files: ReadonlyMap<string, File>;

  constructor(files: ReadonlyMap<string, File>) {
    this.#files = files;
  }

  has(path: string): boolean {
    return this.#files.has(path);
  }

  locate(path: string): string {
    return path;
  }

  open(path: string, signal: AbortSignal, { from = 0 }: ByteWish = {}): Promise<ByteStream> {
    if (signal.aborted) return Promise.reject(new BundleError({ kind: 'aborted' }));
    const file = this.#files.get(path);
    return file === undefined
      ? Promise.reject(new BundleError({ kind: 'files-missing', names: [path], count: 1 }))
      : Promise.resolve({ chunks: streamOf(file.slice(from), path), isHtml: false, start: from });
  }
}

/** A file that was changed or moved meanwhile is no broken line: trying again would not help. */
function streamOf(file: Blob, path: string): ReadableStream<Uint8Array<ArrayBuffer>> {
  const reader = file.stream().getReader();
  return new ReadableStream({
    async pull(controller) {
      try {
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      } catch (cause) {
        const names = [path];
        controller.error(new BundleError({ kind: 'files-missing', names, count: 1 }, { cause }));
      }
    },
    cancel: (reason) => reader.cancel(reason),
  });
}
