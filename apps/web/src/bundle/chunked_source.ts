// A published bundle's files, joined from their chunks. Their order and sizes: contract/validate_chunks.ts.
import type { FileDescriptor } from '../contract/generated';
import { BundleError } from './bundle_error';
import type { ByteSource, ByteStream } from './byte_source';

/** Gives files that the manifest lists in chunks as if they lay there whole; others come from `source` as they are. */
export class ChunkedByteSource implements ByteSource {
  readonly #source: ByteSource;
  readonly #chunks: ReadonlyMap<string, readonly string[]>;

  constructor(source: ByteSource, files: readonly FileDescriptor[]) {
    this.#source = source;
    this.#chunks = new Map(
      files.flatMap(({ path, chunks }) =>
        chunks === undefined ? [] : [[path, chunks.map((chunk) => chunk.path)] as const],
      ),
    );
  }

  locate(path: string): string {
    return this.#source.locate(this.#chunks.get(path)?.[0] ?? path);
  }

  async open(path: string, signal: AbortSignal): Promise<ByteStream> {
    const [first, ...rest] = this.#chunks.get(path) ?? [path];
    // The schema has no empty list of chunks.
    const stream = await this.#source.open(first ?? path, signal);
    return rest.length === 0 || stream.isHtml
      ? stream
      : { chunks: this.#joined(stream, rest, signal), isHtml: false };
  }

  #joined(
    first: ByteStream,
    rest: readonly string[],
    signal: AbortSignal,
  ): ReadableStream<Uint8Array<ArrayBuffer>> {
    let reader = first.chunks.getReader();
    let next = 0;
    return new ReadableStream({
      pull: async (controller) => {
        for (;;) {
          const { done, value } = await reader.read();
          if (!done) {
            controller.enqueue(value);
            return;
          }
          const path = rest[next++];
          if (path === undefined) {
            controller.close();
            return;
          }
          const stream = await this.#source.open(path, signal);
          if (stream.isHtml) {
            await stream.chunks.cancel();
            throw new BundleError({
              kind: 'not-found',
              url: this.#source.locate(path),
              status: 200,
            });
          }
          reader = stream.chunks.getReader();
        }
      },
      cancel: (reason) => reader.cancel(reason),
    });
  }
}
