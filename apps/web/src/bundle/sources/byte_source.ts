// The interface of sources of a bundle's bytes, and the source that uses HTTP. transfer.ts retries and verifies.
import { BundleError } from '../bundle_error';
import { siblingUrl } from '../address/bundle_url';

export interface ByteStream {
  readonly chunks: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** True if an HTML page came instead of a file: some servers answer every unknown address with their start page. */
  readonly isHtml: boolean;
  /** Offset of these bytes in the file: the requested one, or 0 from a source that gives whole files only. */
  readonly start: number;
}

export interface ReadOptions {
  /** Number of bytes to skip at the file's start, if the source can. */
  readonly from?: number;
  /** Offset behind the last byte that is wanted; a source may give more. The file's end by default. */
  readonly to?: number;
  /** Mode of the browser's HTTP cache, as for `fetch`. */
  readonly cache?: RequestCache;
}

/** A source of files, by the paths in the manifest. */
export interface ByteSource {
  /** Return the address of a path, for messages. */
  locate(path: string): string;
  /** Open a file. Rejects with a BundleError; an abort while streaming rejects in the stream. */
  open(path: string, signal: AbortSignal, options?: ReadOptions): Promise<ByteStream>;
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
    { from = 0, to, cache = 'default' }: ReadOptions = {},
  ): Promise<ByteStream> {
    const url = this.locate(path);
    const headers: Record<string, string> =
      from > 0 || to !== undefined
        ? { Range: `bytes=${from}-${to === undefined ? '' : to - 1}` }
        : {};
    let response: Response;
    try {
      response = await fetch(url, { signal, cache, headers });
    } catch (cause) {
      if (signal.aborted) throw new BundleError({ kind: 'aborted' }, { cause });
      throw await unreachable(url, signal, cause);
    }
    if (!response.ok || response.body === null) {
      await response.body?.cancel();
      // The file may be shorter than the requested offset: reading all of it will show.
      if (response.status === 416 && from > 0) return this.open(path, signal, { cache });
      throw refused(url, response);
    }
    const isHtml = response.headers.get('content-type')?.startsWith('text/html') ?? false;
    return { chunks: response.body, isHtml, start: startOf(response, from) };
  }
}

/** Return the offset of the first byte. Other origins hide Content-Range; the digest then shows a wrong offset. */
function startOf({ status, headers }: Response, from: number): number {
  if (status !== 206) return 0;
  const given = /^bytes (\d+)-/.exec(headers.get('content-range') ?? '');
  return given === null ? from : Number(given[1]);
}

/** Return whether a status is temporary, so that a retry makes sense. */
function mayPass(status: number): boolean {
  return status >= 500 || status === 408 || status === 425 || status === 429;
}

function refused(url: string, { status, headers }: Response): BundleError {
  if (!mayPass(status)) return new BundleError({ kind: 'not-found', url, status });
  const retryAfterMs = readRetryAfter(headers.get('retry-after'), Date.now());
  return new BundleError({ kind: 'server', url, status, retryAfterMs });
}

/**
 * Return milliseconds from `now` on; null where the header is absent or not valid. It holds seconds or a date (RFC
 * 9110, 10.2.3).
 */
export function readRetryAfter(value: string | null, now: number): number | null {
  if (value === null) return null;
  const text = value.trim();
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  // Date.parse also accepts many texts that are no dates.
  const at = /^[A-Z][a-z]+,? /.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? null : Math.max(0, at - now);
}

/**
 * Return the error for a failed fetch. A server without CORS headers looks like no server at all, except to a `no-cors`
 * request, which cannot read the answer.
 */
async function unreachable(url: string, signal: AbortSignal, cause: unknown): Promise<BundleError> {
  if (!isOnline()) return new BundleError({ kind: 'network', url, offline: true }, { cause });
  if (new URL(url).origin !== self.location.origin) {
    try {
      await fetch(url, { mode: 'no-cors', method: 'HEAD', cache: 'no-store', signal });
      return new BundleError({ kind: 'no-cors', url, origin: self.location.origin }, { cause });
    } catch {
      // Both requests failed: the cause is the network, or a policy of this page.
    }
  }
  return new BundleError({ kind: 'network', url, offline: false }, { cause });
}

/** Return false only where the browser is sure to be offline. */
export function isOnline(): boolean {
  return (globalThis.navigator as Navigator | undefined)?.onLine ?? true;
}
