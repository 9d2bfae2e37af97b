// From the address a user gave to the addresses of a bundle's files. Fetching is byte_source.ts.
import { BundleError } from './bundle_error';

export const manifestName = 'manifest.json';

export interface BundleAddress {
  readonly manifestUrl: URL;
  /** Name of the graph that the address named, which may pick a variant or be bare; null for a manifest. */
  readonly graphName: string | null;
}

/**
 * A manifest of any name, a graph (beside `manifest.json`, or bare), or the folder of both, ending in a slash. Throws a
 * BundleError for what no server can be asked for.
 */
export function bundleAddress(url: string, base: string): BundleAddress {
  if (!URL.canParse(url, base)) throw new BundleError({ kind: 'network', url, offline: false });
  const given = new URL(url, base);
  if (given.protocol !== 'http:' && given.protocol !== 'https:') {
    throw new BundleError({
      kind: 'address-refused',
      address: url.slice(0, 200),
      reason: 'scheme',
    });
  }
  given.hash = '';
  const name = fileName(given);
  const isGraph = name.toLowerCase().endsWith('.onnx');
  const manifestUrl = new URL(given);
  if (isGraph || name === '') {
    manifestUrl.pathname = new URL(manifestName, given).pathname;
  }
  return { manifestUrl, graphName: isGraph ? name : null };
}

/** The last part of an address, empty for a folder's. */
export function fileName({ pathname }: URL): string {
  return pathname.slice(pathname.lastIndexOf('/') + 1);
}

/** A file beside the manifest, with the manifest's query: a version in the query is one of the whole bundle. */
export function siblingUrl(manifestUrl: URL, path: string): URL {
  const url = new URL(path, manifestUrl);
  url.search = manifestUrl.search;
  const folder = new URL('.', manifestUrl);
  // The schema's pattern allows no such path; this holds for sources that skip the schema too.
  if (url.origin !== folder.origin || !url.pathname.startsWith(folder.pathname)) {
    throw new BundleError({
      kind: 'not-a-manifest',
      url: manifestUrl.href,
      detail: `${path} lies outside the bundle's folder`,
    });
  }
  return url;
}
