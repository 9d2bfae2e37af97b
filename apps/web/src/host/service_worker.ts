// The page's service worker: it starts the page without a network, and adds the isolation headers on hosts that do not
// send them. apps/web/plugins/service_worker.ts compiles it with the list of built files; register_worker.ts registers
// it. It does not handle model files: their loader caches them by digest.
// It is our own code because workbox precaches and routes, but neither adds isolation headers nor keeps the files of
// one build apart from those of another while tabs of both are open.
import { cachePrefix, isRuntimeFile, runtimeCache, shellCache } from './kept_files';
import type { TakeOver } from './take_over';
import { withPolicies } from './with_policies';

declare const self: ServiceWorkerGlobalScope;
/** Paths are relative to the base. */
declare const ORIEL_DEPLOY: {
  readonly version: string;
  /** Files that the page needs to start. */
  readonly shell: readonly string[];
  /** Files of the runtime, cached once the page has used them. */
  readonly runtime: readonly string[];
  /** Content-Security-Policy. */
  readonly policy: string;
};

const { version, shell, runtime, policy } = ORIEL_DEPLOY;
const base = new URL('.', self.location.href).pathname;
/** The page's own address; some hosts redirect from `index.html` to it. */
const pagePath = '';
const modelList = 'models/index.json';
/** A network that does not answer for this long counts as none. */
const timeoutMs = 4000;

const urlOf = (path: string): string => new URL(base + path, self.location.origin).href;

self.addEventListener('install', (event) => {
  event.waitUntil(install());
});

self.addEventListener('activate', (event) => {
  event.waitUntil(activate());
});

self.addEventListener('message', (event) => {
  const { kind, page } = (event.data ?? {}) as Partial<TakeOver>;
  if (kind === 'take-over' && page !== undefined) event.waitUntil(takeOver(page));
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== 'GET' || origin !== self.location.origin) return;
  if (!pathname.startsWith(base)) return;
  const path = pathname.slice(base.length);
  if (request.mode === 'navigate') {
    if (path === pagePath || path === 'index.html') event.respondWith(pageFor(request));
  } else if (path === modelList) {
    event.respondWith(newestList());
  } else if (path.startsWith('assets/') || shell.includes(path)) {
    event.respondWith(fileFor(event, path));
  }
});

/** Cache all files of a deploy or fail, so that the cached page finds every file that it names. */
async function install(): Promise<void> {
  const cache = await caches.open(shellCache(base, version));
  await Promise.all(
    [pagePath, ...shell].map(async (path) => {
      const response = await fetchForShell(path);
      if (!response.ok) throw new Error(`${urlOf(path)}: HTTP ${response.status}`);
      if (path === pagePath) await checkPage(response.clone());
      // A copy: browsers refuse a redirected response to a navigation.
      await cache.put(urlOf(path), new Response(response.body, response));
    }),
  );
  await newestList().catch(() => undefined);
}

async function fetchForShell(path: string): Promise<Response> {
  // Files in assets/ have digests in their names, so they are the same in every deploy.
  if (!path.startsWith('assets/')) return fetch(urlOf(path), { cache: 'no-cache' });
  return (await keptFile(path)) ?? fetch(urlOf(path), { cache: 'force-cache' });
}

/** Throw if the page is another build's, as may happen during a deploy. The next visit then tries again. */
async function checkPage(page: Response): Promise<void> {
  const named = (await page.text()).matchAll(/\bassets\/[\w.-]+/g);
  for (const [path] of named) {
    if (!shell.includes(path)) throw new Error(`the page names ${path}, of another build`);
  }
}

/** Delete the caches of older deploys: none of their pages is open any more. */
async function activate(): Promise<void> {
  const kept = [shellCache(base, version), runtimeCache(base)];
  const names = await caches.keys();
  await Promise.all(
    names
      .filter((name) => name.startsWith(cachePrefix(base)) && !kept.includes(name))
      .map((name) => caches.delete(name)),
  );
  const cache = await caches.open(runtimeCache(base));
  const current = new Set([...runtime, modelList].map(urlOf));
  const stored = await cache.keys();
  await Promise.all(
    stored.filter(({ url }) => !current.has(url)).map((request) => cache.delete(request)),
  );
  await self.clients.claim();
}

/**
 * Take over if the only open page is of this deploy; else the browser does so after the last page was closed.
 * Wait first: Chromium drops the change if a request reaches the older service worker at the same moment, and a page
 * that is loading makes many requests.
 */
async function takeOver(page: string): Promise<void> {
  if (!shell.map(urlOf).includes(page)) return;
  // Look several times: a page that is being closed is still counted.
  for (let look = 0; look < 5; look++) {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const pages = await self.clients.matchAll({ type: 'window', includeUncontrolled: true });
    const ours = pages.filter(({ url }) => new URL(url).pathname.startsWith(base));
    if (ours.length === 0) return;
    if (ours.length === 1) return self.skipWaiting();
  }
}

/** Return the newest page from the network; the cached one where the network or the host fails. */
async function pageFor(request: Request): Promise<Response> {
  // `no-cache`, as hosts that allow caching of pages would hide a new deploy for a while.
  const coming = fetch(request, { cache: 'no-cache' });
  const answer = await inTime(coming).catch(() => null);
  // A cached page is of more use than a server's error.
  const usable = answer !== null && answer.status < 500 ? answer : await keptFile(pagePath);
  const page = usable ?? answer ?? (await coming);
  return request.destination === 'document' ? withPolicies(page, null) : page;
}

async function newestList(): Promise<Response> {
  const cache = await caches.open(runtimeCache(base));
  try {
    const response = await inTime(fetch(urlOf(modelList), { cache: 'no-cache' }));
    if (response.ok) await cache.put(urlOf(modelList), response.clone());
    return response;
  } catch (error) {
    const kept = await keptFile(modelList);
    if (kept === undefined) throw error;
    return kept;
  }
}

async function fileFor(event: FetchEvent, path: string): Promise<Response> {
  const { request } = event;
  const kept = await keptFile(path);
  const response = kept ?? (await fetch(request));
  const isNew = kept === undefined && response.status === 200;
  if (isNew && isRuntimeFile(path)) event.waitUntil(keep(path, response.clone()));
  return request.destination === 'worker' ? withPolicies(response, policy) : response;
}

/** Return a cached file of this deploy, else of another, whose pages may still ask for it: names contain digests. */
async function keptFile(path: string): Promise<Response | undefined> {
  const url = urlOf(path);
  const cacheName = shellCache(base, version);
  const own = await caches.match(url, { cacheName, ignoreVary: true });
  return own ?? caches.match(url, { ignoreVary: true });
}

/** Cache a file of the runtime. If the storage is full, it is fetched over the network again next time. */
async function keep(path: string, response: Response): Promise<void> {
  const cache = await caches.open(runtimeCache(base));
  await cache.put(urlOf(path), response).catch(() => undefined);
}

async function inTime(response: Promise<Response>): Promise<Response> {
  const late = new Promise<never>((_resolve, reject) => {
    setTimeout(() => {
      reject(new Error(`no answer within ${timeoutMs} ms`));
    }, timeoutMs);
  });
  return Promise.race([response, late]);
}
