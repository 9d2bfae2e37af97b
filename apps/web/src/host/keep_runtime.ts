// Caches the runtime's files that this worker has loaded, for use without a network. On a first visit they load before
// the service worker controls the page; on later ones it caches them itself: service_worker.ts.
import { isRuntimeFile, runtimeCache } from './kept_files';

/** Cache the loaded files; do nothing in development, and where the browser has no cache, as without TLS. */
export async function keepRuntime(): Promise<void> {
  if (!import.meta.env.PROD || !('caches' in self)) return;
  const base = import.meta.env.BASE_URL;
  const root = new URL(base, self.location.href).href;
  const loaded = performance
    .getEntriesByType('resource')
    .map(({ name }) => name)
    .filter((url) => url.startsWith(root) && isRuntimeFile(url.slice(root.length)));
  try {
    const cache = await caches.open(runtimeCache(base));
    for (const url of new Set(loaded)) {
      if (await cache.match(url)) continue;
      // From the HTTP cache, which has just received it. Names contain digests, so a cached file is never stale.
      const response = await fetch(url, { cache: 'force-cache' });
      if (response.ok) await cache.put(url, response);
    }
  } catch {
    // Storage is full or forbidden, or the network went away: the page works, but not without a network.
  }
}
