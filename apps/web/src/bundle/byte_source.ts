// Where a bundle's bytes come from, and the source that fetches them. Checking them is read_file.ts.
import { BundleError } from './bundle_error';
import { siblingUrl } from './bundle_url';

export interface ByteStream {
  readonly chunks: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** An HTML page came instead of a file: a server that answers every unknown address with its start page. */
  readonly isHtml: boolean;
}

/** Caches and chunked downloads wrap one source in another. Paths are the manifest's. */
export interface ByteSource {
  /** Where a path lies, for messages. */
  locate(path: string): string;
  /** Rejects with a BundleError; an abort while streaming rejects in the stream. */
  open(path: string, signal: AbortSignal): Promise<ByteStream>;
}

export class HttpByteSource implements ByteSource {
  readonly #manifestUrl: URL;

  constructor(manifestUrl: URL) {
    this.#manifestUrl = manifestUrl;
  }

  locate(path: string): string {
    return siblingUrl(this.#manifestUrl, path).href;
  }

  async open(path: string, signal: AbortSignal): Promise<ByteStream> {
    const url = this.locate(path);
    let response: Response;
    try {
      response = await fetch(url, { signal });
    } catch (cause) {
      if (signal.aborted) throw new BundleError({ kind: 'aborted' }, { cause });
      throw new BundleError({ kind: 'network', url }, { cause });
    }
    if (!response.ok || response.body === null) {
      await response.body?.cancel();
      throw new BundleError({ kind: 'not-found', url, status: response.status });
    }
    const isHtml = response.headers.get('content-type')?.startsWith('text/html') ?? false;
    return { chunks: response.body, isHtml };
  }
}
