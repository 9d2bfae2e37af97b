// Keeps the runtime's files that this worker has loaded, for when there is no network. On a first visit they come
// before the service worker watches; later it keeps them itself: service_worker.ts.
import { isRuntimeFile, runtimeCache } from './kept_files';

/** Does nothing in development, and where the browser keeps nothing, as without TLS. */
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
      // From the browser's own cache, where it has just been put: names with digests never go stale.
      const response = await fetch(url, { cache: 'force-cache' });
      if (response.ok) await cache.put(url, response);
    }
  } catch {
    // Storage is full or forbidden, or the network went away: the page works, but not without a network.
  }
}
