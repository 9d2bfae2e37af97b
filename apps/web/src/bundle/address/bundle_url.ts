// Derives the addresses of a bundle's files from the address that a user gave. byte_source.ts fetches them.
import { BundleError } from '../bundle_error';

export const manifestName = 'manifest.json';

export interface BundleAddress {
  readonly manifestUrl: URL;
  /** Name of the graph in the address, which may select a variant or have no manifest; null for a manifest. */
  readonly graphName: string | null;
}

/**
 * Read an address: of a manifest of any name, of a graph (with or without a `manifest.json` beside it), or of their
 * folder, ending in a slash. Throws a BundleError for an address that is not http(s).
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

/** Return the last part of an address, empty for a folder's. */
export function fileName({ pathname }: URL): string {
  return pathname.slice(pathname.lastIndexOf('/') + 1);
}

/** Return the address of a file beside the manifest, with its query: a version there is the whole bundle's. */
export function siblingUrl(manifestUrl: URL, path: string): URL {
  const url = new URL(path, manifestUrl);
  url.search = manifestUrl.search;
  const folder = new URL('.', manifestUrl);
  // The schema's pattern allows no such path; this check covers callers that skip the schema.
  if (url.origin !== folder.origin || !url.pathname.startsWith(folder.pathname)) {
    throw new BundleError({
      kind: 'not-a-manifest',
      url: manifestUrl.href,
      detail: `${path} lies outside the bundle's folder`,
    });
  }
  return url;
}
