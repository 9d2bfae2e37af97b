// Pictures that the browser threw away come back by themselves: each canvas holds again, pixel for pixel, what it held.
import { expect as plainExpect, type Page } from '@playwright/test';
import { readFixtures } from './fixtures';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 60_000 });

/** Every canvas near the window, as one digest each; blank ones are told apart. */
function drawn(page: Page): Promise<string[]> {
  return page.evaluate(async () => {
    const near = [...document.querySelectorAll('canvas')].filter((canvas) => {
      const { top, bottom } = canvas.getBoundingClientRect();
      return bottom > 0 && top < innerHeight;
    });
    return Promise.all(
      near.map(async (canvas) => {
        const { width, height } = canvas;
        const pixels = canvas.getContext('2d')?.getImageData(0, 0, width, height).data;
        if (pixels?.some((byte) => byte !== 0) !== true) return 'blank';
        const digest = await crypto.subtle.digest('SHA-256', pixels);
        return `${width}×${height} ${new Uint8Array(digest).slice(0, 8).toString()}`;
      }),
    );
  });
}

/** As a browser leaves them that dropped their memory. */
async function blank(page: Page): Promise<void> {
  await page.evaluate(() => {
    for (const canvas of document.querySelectorAll('canvas'))
      canvas.getContext('2d')?.clearRect(0, 0, canvas.width, canvas.height);
  });
  expect(new Set(await drawn(page))).toEqual(new Set(['blank']));
}

async function open(page: Page, text: string, views = ''): Promise<void> {
  const state = new URLSearchParams({ lang: 'en', on: 'wasm', v: 'fp32', p: text, h: '5.2' });
  await page.goto(`/#${state.toString()}${views}`);
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  await expect(page.locator('main')).toHaveAttribute('aria-busy', 'false');
  await page.getByTestId('attention').scrollIntoViewIfNeeded();
  await allDrawn(page);
}

async function allDrawn(page: Page): Promise<void> {
  await expect
    .poll(async () => {
      const all = await drawn(page);
      return all.length > 0 && !all.includes('blank');
    })
    .toBe(true);
}

const sentence = readFixtures('demo').prompt('sentence').text ?? '';

/** What tells a page that it may have lost them: the canvas itself, or the page's return. */
const signals: [name: string, send: () => void][] = [
  [
    'the GPU process is back',
    () => {
      for (const canvas of document.querySelectorAll('canvas')) {
        canvas.dispatchEvent(new Event('contextlost'));
        canvas.dispatchEvent(new Event('contextrestored'));
      }
    },
  ],
  ['the tab is seen again', () => document.dispatchEvent(new Event('visibilitychange'))],
  ['the tab wakes', () => document.dispatchEvent(new Event('resume'))],
  ['the page comes from the back button', () => dispatchEvent(new Event('pageshow'))],
];

test('maps, strips and lengths are drawn again whatever took them', async ({ page }) => {
  await open(page, sentence);
  for (const view of ['attention', 'activations']) {
    await page.getByTestId(view).scrollIntoViewIfNeeded();
    await expect(page.getByTestId(view).locator('canvas').first()).toBeVisible();
    for (const [name, send] of signals) {
      await test.step(`${view}: ${name}`, async () => {
        await allDrawn(page);
        const before = await drawn(page);
        await blank(page);
        await page.evaluate(send);
        await expect.poll(() => drawn(page)).toEqual(before);
      });
    }
  }
});

test('a GPU process that ends leaves no map white', async ({ page, browser }) => {
  await open(page, sentence);
  const before = await drawn(page);
  const restored = await page.evaluateHandle(() => {
    const seen = new Set<EventTarget>();
    addEventListener('contextrestored', ({ target }) => target !== null && seen.add(target), true);
    return seen;
  });
  const session = await browser.newBrowserCDPSession();
  await session.send('Browser.crashGpuProcess');
  // Until the browser has taken the canvases and given them back, blank, what was drawn before is still there.
  await expect
    .poll(() =>
      restored.evaluate((seen) => {
        const near = [...document.querySelectorAll('canvas')].filter((canvas) => {
          const { top, bottom } = canvas.getBoundingClientRect();
          return bottom > 0 && top < innerHeight;
        });
        return near.length > 0 && near.every((canvas) => seen.has(canvas));
      }),
    )
    .toBe(true);
  await expect.poll(() => drawn(page)).toEqual(before);
});

test('on a sharper screen small maps are drawn with its pixels', async ({ page }) => {
  await open(page, readFixtures('demo').prompt('long').text ?? '');
  const widths = (): Promise<number[]> =>
    page
      .locator('[data-testid^="head-"] canvas')
      .evaluateAll((all) => all.map((canvas) => (canvas as HTMLCanvasElement).width));
  const before = await widths();
  const size = page.viewportSize() ?? { width: 1280, height: 720 };
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Emulation.setDeviceMetricsOverride', {
    width: size.width,
    // A window that moves to another screen is laid out anew; only then is the page told.
    height: size.height + 1,
    deviceScaleFactor: 2,
    mobile: false,
  });
  const tokens = readFixtures('demo').prompt('long').ids.length;
  const wanted = Math.min(tokens, 2 * Math.max(...before));
  expect(wanted).toBeGreaterThan(Math.max(...before));
  await expect.poll(async () => Math.max(...(await widths()))).toBe(wanted);
});
