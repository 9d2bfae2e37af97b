// Names of the caches that the service worker and the page fill. They hold no model files.

/** Return the prefix of this page's caches: an origin may serve several pages. `base` is a path such as `/oriel/`. */
export function cachePrefix(base: string): string {
  return `oriel ${base} `;
}

/** Return the name of the cache for one deploy's page and the files that it needs to start. */
export function shellCache(base: string, version: string): string {
  return `${cachePrefix(base)}shell ${version}`;
}

/** Return the name of the cache for the runtime; its files have digests in their names, so deploys share them. */
export function runtimeCache(base: string): string {
  return `${cachePrefix(base)}runtime`;
}

/** Return whether `path`, relative to the base, is one of the runtime's builds: 14 to 27 MB each, cached once used. */
export function isRuntimeFile(path: string): boolean {
  return /^assets\/ort[.-]/.test(path);
}
