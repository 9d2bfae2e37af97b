// A GPU that goes away under the model: the page says so, and opens the weights that are on this device on WebAssembly,
// without a byte of them fetched again. The browser's GPU process is really ended.
import { expect as plainExpect, type ConsoleMessage, type Page } from '@playwright/test';
import { test as base } from './engine';
import { readFixtures } from './fixtures';
import { expectRightAnswer } from './right_answer';
import { isolated } from './servers';
import { startSilentServer } from './silent_server';

const expect = plainExpect.configure({ timeout: 90_000 });
const fixtures = readFixtures('demo');
const before = fixtures.prompt('sentence');
const after = fixtures.prompt('unicode');

const isHeld = 'held until the GPU is lost';

/**
 * Runs in the worker. What the runtime reads back from the GPU waits until the GPU is lost, so that the loss falls into a
 * run and never between two: from the given reading on, or once the page says so. The first is the runtime's own trial.
 */
const holding = (from: number): string => `
  if (globalThis.GPUAdapter) {
    const { requestDevice } = GPUAdapter.prototype;
    let lost = null;
    GPUAdapter.prototype.requestDevice = async function (...asked) {
      const device = await requestDevice.apply(this, asked);
      lost = device.lost;
      return device;
    };
    let left = ${from};
    new BroadcastChannel('hold').addEventListener('message', () => {
      left = 1;
    });
    const { mapAsync } = GPUBuffer.prototype;
    GPUBuffer.prototype.mapAsync = async function (...asked) {
      left -= 1;
      if (left <= 0) {
        console.log(${JSON.stringify(isHeld)});
        await lost;
      }
      return mapAsync.apply(this, asked);
    };
  }
`;

const test = base.extend<{ openHeldFrom: (reading: number, variant: string) => Promise<void> }>({
  // Chromium gives no adapter for a while once its GPU process has ended more than once: each test has its own browser.
  page: async ({ playwright, launchOptions }, use) => {
    const browser = await playwright.chromium.launch(launchOptions);
    // A service worker would answer with scripts of its own cache.
    await use(await browser.newPage({ serviceWorkers: 'block' }));
    await browser.close();
  },
  openHeldFrom: async ({ page }, use) => {
    const ends: (() => Promise<void>)[] = [];
    await use(async (reading, variant) => {
      const server = await startSilentServer(isolated, () => false, {}, holding(reading));
      ends.push(() => server.close());
      const fields = { lang: 'en', on: 'webgpu', v: variant, p: before.text ?? '' };
      await page.goto(`${server.url}#${new URLSearchParams(fields).toString()}`);
    });
    for (const end of ends) await end();
  },
});

test.beforeEach(({ provider }) => {
  test.skip(provider !== 'webgpu', 'needs an adapter');
});

async function endGpuProcess(page: Page): Promise<void> {
  const session = await page.context().browser()?.newBrowserCDPSession();
  await session?.send('Browser.crashGpuProcess');
}

async function endGpuProcessInRun(page: Page, ask: () => Promise<void>): Promise<void> {
  const isTold = (message: ConsoleMessage): boolean => message.text() === isHeld;
  await Promise.all([page.waitForEvent('console', { predicate: isTold, timeout: 90_000 }), ask()]);
  await endGpuProcess(page);
}

/** Weights asked for from now on, by the page and its workers. */
function weightsFetched(page: Page): string[] {
  const paths: string[] = [];
  page.on('request', (request) => {
    const { pathname } = new URL(request.url());
    if (pathname.endsWith('.onnx.data')) paths.push(pathname);
  });
  return paths;
}

async function expectOpen(page: Page, place: string): Promise<void> {
  await expect(page.getByTestId('variant-bar')).toContainText(place);
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  await expect(page.locator('main')).toHaveAttribute('aria-busy', 'false');
}

/** Takes the way on that the page offers: the same variant, as exact as it was. */
async function takeWayOn(page: Page, kind: string | RegExp, variant: string): Promise<void> {
  const alert = page.getByRole('alert');
  await expect(alert).toHaveAttribute('data-kind', kind);
  await expect(alert).toContainText('The browser took the GPU away.');
  const next = alert.getByTestId('next-variant');
  await expect(next).toHaveText(`Open ${variant} on WebAssembly (already on this device)`);
  await next.click();
  await expectOpen(page, `${variant} on WebAssembly`);
  await expect(alert).toHaveCount(0);
}

const typeAnother = (page: Page) => (): Promise<void> =>
  page
    .getByRole('textbox', { name: 'Text', exact: true })
    .first()
    .fill(after.text ?? '');

test('a GPU that is lost between two runs', async ({ page, openHeldFrom }) => {
  const fetched = weightsFetched(page);
  await openHeldFrom(Infinity, 'fp32');
  await expectOpen(page, 'fp32 on WebGPU');
  expect(fetched).toEqual(['/models/demo/model.onnx.data']);
  await endGpuProcess(page);
  await typeAnother(page)();
  // A view may open activations just then, and notices it first.
  await takeWayOn(page, /^(run|session)$/, 'fp32');
  await expectRightAnswer(page, after);
  expect(fetched).toHaveLength(1);
});

test('a GPU that is lost in a run, under weights that are not the exact ones', async ({
  page,
  openHeldFrom,
}) => {
  const fetched = weightsFetched(page);
  await openHeldFrom(Infinity, 'q4');
  await expectOpen(page, 'q4 on WebGPU');
  expect(fetched).toEqual(['/models/demo/model_q4.onnx.data']);
  await page.evaluate(() => {
    new BroadcastChannel('hold').postMessage(null);
  });
  await endGpuProcessInRun(page, typeAnother(page));
  await takeWayOn(page, 'run', 'q4');
  await expect(page.getByTestId('token-count')).toContainText(String(after.ids.length));
  expect(fetched).toHaveLength(1);
});

test('a GPU that is lost while the model is tried out', async ({ page, openHeldFrom }) => {
  const fetched = weightsFetched(page);
  await endGpuProcessInRun(page, () => openHeldFrom(2, 'fp32'));
  await takeWayOn(page, 'session', 'fp32');
  await expectRightAnswer(page, before);
  expect(fetched).toEqual(['/models/demo/model.onnx.data']);
});
