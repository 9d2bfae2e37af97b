// A page that the browser translates: what is shown must go with the page's state, as on a page that nobody translates.
import { expect as plainExpect, type Page } from '@playwright/test';
import { percent } from '../../apps/web/src/i18n/number_format';
import { test } from './shared_context';
import { isThorough } from './thorough';

const expect = plainExpect.configure({ timeout: 30_000 });

/**
 * Replaces text nodes as Chrome's translation does: by elements of its own, with new text nodes in them, and
 * none where `translate="no"` forbids it. `mark` is put before each text, so that one sees what was translated.
 * With `goOn` it also translates what comes later.
 */
function translate({ mark, goOn }: { mark: string; goOn: boolean }): void {
  const done = new WeakSet<Node>();
  const kept = '[translate="no"], .notranslate, script, style, textarea, svg';
  const forbidden = (node: Node): boolean => node.parentElement?.closest(kept) !== null;
  const replace = (text: Text): void => {
    if (done.has(text) || text.data.trim() === '' || forbidden(text)) return;
    const outer = document.createElementNS('http://www.w3.org/1999/xhtml', 'font');
    const inner = document.createElementNS('http://www.w3.org/1999/xhtml', 'font');
    outer.style.verticalAlign = inner.style.verticalAlign = 'inherit';
    const copy = document.createTextNode(mark + text.data);
    done.add(copy);
    inner.append(copy);
    outer.append(inner);
    text.replaceWith(outer);
  };
  const all = (root: Node): void => {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    const found: Text[] = [];
    while (walker.nextNode() !== null)
      if (walker.currentNode instanceof Text) found.push(walker.currentNode);
    found.forEach(replace);
  };
  all(document.body);
  if (!goOn) return;
  new MutationObserver((records) => {
    for (const record of records)
      if (record.target.isConnected)
        all(record.type === 'childList' ? record.target : record.target);
    for (const { target } of records) if (target instanceof Text) replace(target);
  }).observe(document.body, { childList: true, characterData: true, subtree: true });
}

async function answered(page: Page): Promise<void> {
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  await expect(page.getByTestId('large-map')).toBeVisible();
  await expect(page.locator('main')).toHaveAttribute('aria-busy', 'false');
}

/** Every view, open and drawn, with the panel of variants and two variants beside each other. */
async function openEverything(page: Page, language: string): Promise<void> {
  await page.goto(`/#lang=${language}&vs=q4`);
  await answered(page);
  await page.getByTestId('variants-toggle').click();
  for (const view of ['lens', 'neurons', 'steps', 'activations', 'pairs', 'difference', 'facts']) {
    await expect(page.getByTestId(view)).toBeAttached();
    // Again where the view is made anew meanwhile.
    await expect(async () => {
      await page.getByTestId(view).scrollIntoViewIfNeeded({ timeout: 5_000 });
    }).toPass();
    // These compute once they are in sight.
    if (view === 'neurons') await expect(page.getByTestId('strongest-neurons')).toBeVisible();
    if (view === 'steps') await expect(page.getByTestId('step-row').first()).toBeVisible();
  }
  await expect(page.getByTestId('strip')).toBeVisible();
  await expect(page.getByTestId('lens-reading')).toBeVisible();
  await expect(page.getByTestId('difference-map')).toBeVisible();
  await answered(page);
  await page.evaluate(() => {
    scrollTo(0, 0);
  });
}

/** All text of the page without the translator's mark, and without times, which differ from run to run. */
async function textOf(page: Page, mark: string): Promise<string[]> {
  await page.mouse.move(2, 2);
  await answered(page);
  await page.waitForFunction(() => document.querySelector('[data-testid="candidate"]') !== null);
  const text = await page.evaluate(() =>
    Array.from(document.querySelectorAll('.page > *, main > *, .rail > *'))
      .filter((part) => part.querySelector('main') === null)
      .map((part) => {
        const copy = part.cloneNode(true) as Element;
        // What each page fetched depends on which came first.
        copy.querySelector('[data-testid=download-fact]')?.remove();
        return copy.textContent;
      }),
  );
  return text.map((part) =>
    part
      .replaceAll(mark, '')
      .replace(/[\d.,]+\u202f(ms|s)\b/g, 'TIME')
      .replace(/[\d.,]+\u202f[kMG]?B/g, 'SIZE')
      .replace(/\d+:\d\d/g, 'CLOCK')
      .replace(/\s+/g, ' ')
      .trim(),
  );
}

const CHANGES: Record<string, (page: Page) => Promise<void>> = {
  'another text': async (page) => {
    await page.locator('#prompt').fill('The keys on the shelf near the window');
    await expect(page.locator('.chip')).toHaveCount(8);
  },
  'another head': async (page) => {
    await page.getByTestId('head-11-3').click();
  },
  'another token': async (page) => {
    await page.locator('.chip').nth(2).click();
  },
  'a head switched off': async (page) => {
    await page.getByTestId('toggle-head').click();
    await expect(page.getByTestId('off-badge')).toBeVisible();
    await expect(page.getByTestId('head-effect')).toBeVisible();
  },
  'another language': async (page) => {
    await page.getByTestId('language').click();
    await expect(page.locator('html')).toHaveAttribute('lang', 'zh-CN');
  },
  'one more token': async (page) => {
    await page.getByTestId('step').click();
    await expect(page.locator('.chip')).toHaveCount(9);
  },
  'the heads on again': async (page) => {
    await page.getByTestId('restore').click();
    await expect(page.getByTestId('off-badge')).toHaveCount(0);
  },
};

// Translators that go on meet every text that one pass meets.
for (const goOn of isThorough ? [false, true] : [true])
  test(`a page translated ${goOn ? 'again and again' : 'once'} shows what an untranslated one shows`, async ({
    browser,
    baseURL,
  }) => {
    test.setTimeout(360_000);
    const mark = '¤';
    const context = await browser.newContext({ ...(baseURL === undefined ? {} : { baseURL }) });
    const plain = await context.newPage();
    const translated = await context.newPage();
    const sampling = 'en&s=0_0_1';
    await openEverything(plain, sampling);
    await openEverything(translated, sampling);
    await translated.evaluate(translate, { mark, goOn });
    const reached = await translated.evaluate(
      (sign) => document.body.textContent.split(sign).length,
      mark,
    );
    expect(reached).toBeGreaterThan(80);

    for (const [name, change] of Object.entries(CHANGES)) {
      for (const page of [plain, translated]) {
        await page.bringToFront();
        await change(page);
        await answered(page);
      }
      // Both are read again each time: on a slow machine either may still be comparing.
      await expect(async () => {
        expect([name, await textOf(translated, mark)]).toEqual([name, await textOf(plain, mark)]);
      }).toPass({ timeout: 60_000 });
      // Independent of the other page: the figures are those of the probabilities themselves.
      for (const row of await translated.getByTestId('candidate').all())
        await expect(row.locator('.value').first()).toHaveText(
          percent(Number(await row.getAttribute('data-probability'))),
        );
    }
    // Neither tokens nor numbers were the translator's to change.
    for (const figures of ['.chip', '[data-testid=candidate]', '.ticks', '.strip', '.lens .cell'])
      expect(await translated.locator(figures).first().innerText()).not.toContain(mark);
    await context.close();
  });

test('no space stands after a Chinese mark within a sentence or between two', async ({ page }) => {
  await openEverything(page, 'zh&off=0.1&ids=1.2&a=layer_11_resid_post');
  const texts = await page
    .locator('p, h2, h3, h4, figcaption, caption')
    .evaluateAll((found) => found.map((element) => element.textContent.replace(/\s+/g, ' ')));
  const chinese = texts.filter((text) => /[。，；：！？、]/u.test(text));
  expect(chinese.length).toBeGreaterThan(20);
  expect(chinese.filter((text) => /[。，；：！？、] \S/u.test(text))).toEqual([]);
});
