// Names of the caches that the service worker keeps and the page adds to. Model files are not in them.

/** Cache names are an origin's, and one origin may serve several such pages: `base` is a path such as `/oriel/`. */
export function cachePrefix(base: string): string {
  return `oriel ${base} `;
}

/** One deploy's page and what it needs to start. */
export function shellCache(base: string, version: string): string {
  return `${cachePrefix(base)}shell ${version}`;
}

/** The runtime in use; its files carry their digests in their names, so deploys share them. */
export function runtimeCache(base: string): string {
  return `${cachePrefix(base)}runtime`;
}

/** `path` is below the base. The runtime's builds are 14 to 27 MB each, and are kept when they were used. */
export function isRuntimeFile(path: string): boolean {
  return /^assets\/ort[.-]/.test(path);
}
