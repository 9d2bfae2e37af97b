// Playwright's `test`, with one browser context for all tests of a worker. Each gets it as if it were new: without
// pages, storage, cookies and permissions. Only the browser's cache of files and of compiled code stays, without which
// each test would compile 14 MB of WebAssembly again: that is most of the work of opening the page.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  test as base,
  type BrowserContext,
  type Page,
  type Request,
  type Route,
} from '@playwright/test';
import { isThorough } from './thorough';

const viewport = { width: 1280, height: 720 };

interface Options {
  /** Gives the test a context of its own, as for what is limited or overwritten in a whole context. */
  readonly ownContext: boolean;
  /** Lets the page compare the device with PyTorch's numbers once it is idle, as it does for its readers. */
  readonly comparesDevice: boolean;
}

declare global {
  /** Read by the build of page_build.config.ts. */
  var quietBeforeProof: number | undefined;
}

/** The longest time that a browser waits, in milliseconds. */
const never = 2 ** 31 - 1;

export const test = base.extend<Options, { shared: BrowserContext }>({
  ownContext: [false, { option: true }],
  comparesDevice: [isThorough, { option: true }],
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
  page: async ({ page, comparesDevice }, use) => {
    if (!comparesDevice)
      await page.addInitScript((wait) => {
        globalThis.quietBeforeProof = wait;
      }, never);
    await use(page);
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
    await endOfWorkers(last, origin);
    await devtools.send('Storage.clearDataForOrigin', { origin, storageTypes });
  }
  await context.clearCookies();
  await context.clearPermissions();
  await devtools.detach();
}

/** Longest wait for workers of closed pages, in milliseconds. */
const slowestEnd = 30_000;

/**
 * Wait until no worker of a closed page holds a file of this origin: the browser ends workers a moment after their page, on
 * a busy machine seconds later, and the next test's page could not store what they hold.
 */
async function endOfWorkers(page: Page, origin: string): Promise<void> {
  if (!origin.startsWith('http')) return;
  const nothing = (route: Route): Promise<void> =>
    route.fulfill({ contentType: 'text/html', body: '' });
  await page.route(`${origin}/**`, nothing);
  await page.goto(`${origin}/`);
  await page.evaluate(async (slowestEnd) => {
    // Where the browser gives no such storage, none holds a file of it.
    const storage = navigator.storage as StorageManager | undefined;
    const root = await storage?.getDirectory().catch(() => undefined);
    for (const until = performance.now() + slowestEnd; root && performance.now() < until;) {
      try {
        // It is refused as long as one of its files is open.
        await root.removeEntry('oriel', { recursive: true });
        return;
      } catch (error) {
        if (error instanceof DOMException && error.name === 'NotFoundError') return;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }, slowestEnd);
  await page.unroute(`${origin}/**`, nothing);
  await page.goto('about:blank');
}
