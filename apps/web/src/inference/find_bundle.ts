// Finds the source and the bundle that a request names, once for both a survey and an opening. The search itself is
// bundle/open_bundle.ts; the downloads that follow, load_model.ts.
import { bundleAddress } from '../bundle/address/bundle_url';
import { HttpByteSource, type ByteSource } from '../bundle/sources/byte_source';
import { FileByteSource } from '../bundle/sources/file_source';
import type { ModelCache } from '../bundle/storage/model_cache';
import { findAmongFiles, findAtAddress, type FoundBundle } from '../bundle/open_bundle';
import { retryPolicy } from '../bundle/download/retry_policy';
import type { OpenRequest } from './model_types';

export interface ArrivingBundle {
  /** The graph that the address named; null where it named none. */
  readonly graphName: string | null;
  readonly source: ByteSource;
  /** Rejects with a BundleError. */
  readonly found: Promise<FoundBundle>;
  /** Bytes of a bare graph, which may hold all its weights, as they come. */
  readonly graphBytes: Counter;
}

class Counter {
  #total = 0;
  readonly #listeners: ((total: number) => void)[] = [];

  set = (total: number): void => {
    this.#total = total;
    for (const listener of this.#listeners) listener(total);
  };

  listen(listener: (total: number) => void): void {
    this.#listeners.push(listener);
    if (this.#total > 0) listener(this.#total);
  }
}

/** By address. */
export type ArrivingBundles = Map<string, ArrivingBundle>;

/** Find the request's bundle. Relative addresses are resolved against `baseUrl`. Throws a BundleError for an invalid
 * address. */
export function findBundle(
  request: OpenRequest,
  baseUrl: string,
  { bundles, modelCache }: { bundles: ArrivingBundles; modelCache: Promise<ModelCache | null> },
): ArrivingBundle {
  const arriving = bundles.get(request.url) ?? startFinding(request, baseUrl, modelCache);
  bundles.set(request.url, arriving);
  // A bundle that could not be fetched is requested again the next time.
  arriving.found.catch(() => bundles.delete(request.url));
  return arriving;
}

function startFinding(
  { url, local }: OpenRequest,
  baseUrl: string,
  modelCache: Promise<ModelCache | null>,
): ArrivingBundle {
  const { signal } = new AbortController();
  const graphBytes = new Counter();
  if (local !== undefined) {
    const source = new FileByteSource(local.files);
    return {
      graphName: null,
      source,
      found: findAmongFiles(source, local, { retryPolicy, signal }),
      graphBytes,
    };
  }
  const address = bundleAddress(url, baseUrl);
  const source = new HttpByteSource(address.manifestUrl);
  const context = { modelCache, retryPolicy, signal };
  const found = findAtAddress(source, address, context, graphBytes.set);
  return { graphName: address.graphName, source, found, graphBytes };
}
