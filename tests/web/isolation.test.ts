// The start of the page waits for its service worker and its reload, but not for ever.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { settleIsolation } from '../../apps/web/src/host/isolation';

const reload = vi.fn();

beforeEach(() => {
  vi.useFakeTimers();
  reload.mockClear();
  const kept = new Map<string, string>();
  const page = { parent: null as unknown };
  page.parent = page;
  vi.stubGlobal('window', page);
  vi.stubGlobal('crossOriginIsolated', false);
  vi.stubGlobal('navigator', { hardwareConcurrency: 4 });
  vi.stubGlobal('location', { reload });
  vi.stubGlobal('sessionStorage', {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
    removeItem: (key: string) => kept.delete(key),
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** Whether the engine may start by then. */
async function startsWithin(ms: number, start: Promise<void>): Promise<boolean> {
  let hasStarted = false;
  void start.then(() => (hasStarted = true));
  await vi.advanceTimersByTimeAsync(ms);
  return hasStarted;
}

test('a service worker whose script never comes keeps no engine from starting', async () => {
  const start = settleIsolation(new Promise(() => undefined));
  expect(await startsWithin(60_000, start)).toBe(true);
  expect(reload).not.toHaveBeenCalled();
});

test('a reload that never comes leaves the page that is here', async () => {
  const worker = Object.assign(new EventTarget(), { state: 'activated' });
  const registration = { active: worker } as unknown as ServiceWorkerRegistration;
  const start = settleIsolation(Promise.resolve(registration));
  expect(await startsWithin(1000, start)).toBe(false);
  expect(reload).toHaveBeenCalledOnce();
  expect(await startsWithin(60_000, start)).toBe(true);
});
