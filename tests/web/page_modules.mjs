// Loads the page's own modules in Node, as Vite would: for scripts that Python's tests call to compare with the page.
import { createServer } from 'vite';

/**
 * Gives `use` a function that loads a module of apps/web/src by its path from there.
 * @param {(load: (path: string) => Promise<Record<string, unknown>>) => Promise<void>} use
 */
export async function withPageModules(use) {
  const server = await createServer({
    configFile: new URL('../../vitest.config.ts', import.meta.url).pathname,
    root: new URL('../..', import.meta.url).pathname,
    server: { middlewareMode: true, hmr: false, watch: null, ws: false },
    optimizeDeps: { noDiscovery: true },
    appType: 'custom',
    logLevel: 'error',
  });
  try {
    await use((path) => server.ssrLoadModule(`/apps/web/src/${path}`));
  } finally {
    await server.close();
  }
}
