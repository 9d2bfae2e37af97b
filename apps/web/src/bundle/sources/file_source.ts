// The visitor's own files, chosen or dropped, as a source of bytes. They are read from disk and sent nowhere.
// local_files.ts finds a model among many files.
import { BundleError } from '../bundle_error';
import type { ByteSource, ByteStream, ReadOptions } from './byte_source';

/** A model among the visitor's files. It is sent to the worker without copying bytes: a File is only a handle. */
export interface LocalModel {
  /** The manifest or the bare graph: a path of `files`. */
  readonly entry: string;
  /** Files by path, relative to the folder that holds the entry. */
  readonly files: ReadonlyMap<string, File>;
}

export class FileByteSource implements ByteSource {
  readonly files: ReadonlyMap<string, File>;

  constructor(files: ReadonlyMap<string, File>) {
    this.files = files;
  }

  has(path: string): boolean {
    return this.files.has(path);
  }

  locate(path: string): string {
    return path;
  }

  open(path: string, signal: AbortSignal, { from = 0, to }: ReadOptions = {}): Promise<ByteStream> {
    if (signal.aborted) return Promise.reject(new BundleError({ kind: 'aborted' }));
    const file = this.files.get(path);
    return file === undefined
      ? Promise.reject(new BundleError({ kind: 'files-missing', names: [path], count: 1 }))
      : Promise.resolve({
          chunks: streamOf(file.slice(from, to), path),
          isHtml: false,
          start: from,
        });
  }
}

/** Stream a file. An error means that it was changed or moved meanwhile, where a retry would not help. */
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
