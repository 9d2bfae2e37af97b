// Where a bundle's bytes come from, and the source that fetches them. Trying again and checking them is transfer.ts.
import { BundleError } from './bundle_error';
import { siblingUrl } from './bundle_url';

export interface ByteStream {
  readonly chunks: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** An HTML page came instead of a file: a server that answers every unknown address with its start page. */
  readonly isHtml: boolean;
  /** Where in the file these bytes begin: what was asked for, or 0 from a source that gives whole files only. */
  readonly start: number;
}

export interface ByteWish {
  /** Leaves out so many bytes at the file's start, where the source can. */
  readonly from?: number;
  /** What the browser's own HTTP cache may do. */
  readonly cache?: RequestCache;
}

/** Paths are the manifest's. */
export interface ByteSource {
  /** Where a path lies, for messages. */
  locate(path: string): string;
  /** Rejects with a BundleError; an abort while streaming rejects in the stream. */
  open(path: string, signal: AbortSignal, wish?: ByteWish): Promise<ByteStream>;
}

export class HttpByteSource implements ByteSource {
  readonly manifestUrl: URL;

  constructor(manifestUrl: URL) {
    this.manifestUrl = manifestUrl;
  }

  locate(path: string): string {
    return siblingUrl(this.manifestUrl, path).href;
  }

  async open(
    path: string,
    signal: AbortSignal,
    { from = 0, cache = 'default' }: ByteWish = {},
  ): Promise<ByteStream> {
    const url = this.locate(path);
    const headers: Record<string, string> = from > 0 ? { Range: `bytes=${from}-` } : {};
    let response: Response;
    try {
      response = await fetch(url, { signal, cache, headers });
    } catch (cause) {
      if (signal.aborted) throw new BundleError({ kind: 'aborted' }, { cause });
      throw await unreachable(url, signal, cause);
    }
    if (!response.ok || response.body === null) {
      await response.body?.cancel();
      // The file may be shorter than what was asked for: the whole of it will tell.
      if (response.status === 416 && from > 0) return this.open(path, signal, { cache });
      throw refused(url, response);
    }
    const isHtml = response.headers.get('content-type')?.startsWith('text/html') ?? false;
    return { chunks: response.body, isHtml, start: startOf(response, from) };
  }
}

/** Other origins hide Content-Range; the digest will tell whether the pieces fit together. */
function startOf({ status, headers }: Response, from: number): number {
  if (status !== 206) return 0;
  const given = /^bytes (\d+)-/.exec(headers.get('content-range') ?? '');
  return given === null ? from : Number(given[1]);
}

/** Answers that may be another one in a moment. */
function mayPass(status: number): boolean {
  return status >= 500 || status === 408 || status === 425 || status === 429;
}

function refused(url: string, { status, headers }: Response): BundleError {
  if (!mayPass(status)) return new BundleError({ kind: 'not-found', url, status });
  const retryAfterMs = readRetryAfter(headers.get('retry-after'), Date.now());
  return new BundleError({ kind: 'server', url, status, retryAfterMs });
}

/** Milliseconds from `now` on; null where the header is absent or says nothing. It is seconds or a date (RFC 9110, 10.2.3). */
export function readRetryAfter(value: string | null, now: number): number | null {
  if (value === null) return null;
  const text = value.trim();
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  // Engines find dates in much that is none.
  const at = /^[A-Z][a-z]+,? /.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? null : Math.max(0, at - now);
}

/** A server that lacks CORS headers looks like none at all, except to a request that does not want to read the answer. */
async function unreachable(url: string, signal: AbortSignal, cause: unknown): Promise<BundleError> {
  if (!isOnline()) return new BundleError({ kind: 'network', url, offline: true }, { cause });
  if (new URL(url).origin !== self.location.origin) {
    try {
      await fetch(url, { mode: 'no-cors', method: 'HEAD', cache: 'no-store', signal });
      return new BundleError({ kind: 'no-cors', url, origin: self.location.origin }, { cause });
    } catch {
      // Neither way: the network then, or a policy of this page.
    }
  }
  return new BundleError({ kind: 'network', url, offline: false }, { cause });
}

/** False only where the browser is sure. */
export function isOnline(): boolean {
  return (globalThis.navigator as Navigator | undefined)?.onLine ?? true;
}
