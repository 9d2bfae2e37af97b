// Playwright's `test`, with one browser context for all tests of a worker. Each gets it as if it were new: without
// pages, storage, cookies and permissions. Only the browser's cache of files and of compiled code stays, without which
// each test would compile 14 MB of WebAssembly again: that is most of the work of opening the page.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test as base, type BrowserContext, type Request } from '@playwright/test';

const viewport = { width: 1280, height: 720 };

interface Options {
  /** Gives the test a context of its own, as for what is limited or overwritten in a whole context. */
  readonly ownContext: boolean;
}

export const test = base.extend<Options, { shared: BrowserContext }>({
  ownContext: [false, { option: true }],
  viewport,
  // The others of a browser, without a profile on disk, cache no compiled WebAssembly.
  shared: [
    async ({ playwright, browserName, launchOptions }, use, { project }) => {
      const profile = await mkdtemp(join(tmpdir(), 'oriel-profile-'));
      const { baseURL } = project.use;
      const context = await playwright[browserName].launchPersistentContext(profile, {
        ...launchOptions,
        ...(baseURL === undefined ? {} : { baseURL }),
        viewport,
        serviceWorkers: 'block',
      });
      await use(context);
      await context.close();
      await rm(profile, { recursive: true, force: true });
    },
    { scope: 'worker' },
  ],
  browser: [
    async ({ shared }, use) => {
      const browser = shared.browser();
      if (browser === null) throw new Error('the context has no browser');
      await use(browser);
    },
    { scope: 'worker' },
  ],
  // What else a test sets of a context, such as its language, it sets with `ownContext`.
  context: async ({ browser, shared, ownContext, serviceWorkers }, use) => {
    if (ownContext) {
      const own = await browser.newContext({ serviceWorkers });
      await use(own);
      await own.close();
      return;
    }
    const origins = new Set<string>();
    const visit = (request: Request): void => {
      if (request.isNavigationRequest()) origins.add(new URL(request.url()).origin);
    };
    shared.on('request', visit);
    await use(shared);
    shared.off('request', visit);
    await empty(shared, origins);
  },
  serviceWorkers: 'block',
});

/**
 * All but the runtime's files in Cache Storage, which nothing but the service worker reads, and that is blocked here: the
 * page would only store them anew.
 */
const storageTypes = 'cookies,file_systems,indexeddb,local_storage,service_workers';

async function empty(context: BrowserContext, origins: Iterable<string>): Promise<void> {
  // The browser ends with its last page.
  const last = await context.newPage();
  for (const page of context.pages()) if (page !== last) await page.close();
  const devtools = await context.newCDPSession(last);
  for (const origin of origins) {
    await devtools.send('Storage.clearDataForOrigin', { origin, storageTypes });
  }
  await context.clearCookies();
  await context.clearPermissions();
  await devtools.detach();
}
