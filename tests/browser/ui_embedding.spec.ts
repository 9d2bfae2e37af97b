// The page inside a page of another origin: the element <oriel-view> shows one view with PyTorch's numbers, has the height
// of what it shows, follows its attributes, tells of changes and errors, and takes messages from nobody else.
import { writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  expect as plainExpect,
  type FrameLocator,
  type Page,
  type TestInfo,
} from '@playwright/test';
import { softmax } from '../../apps/web/src/analysis/probabilities';
import { expectCandidates } from './shown_prediction';
import { readFixtures, reference } from './fixtures';
import { test } from './shared_context';
import { startSite, type StaticSite } from './static_site';

const expect = plainExpect.configure({ timeout: 60_000 });

const sentence = readFixtures('demo').prompt('sentence');
const whole = reference(sentence, 'logits');
const right = softmax(whole.data.slice(-(whole.dims.at(-1) ?? 0)));
const folder = fileURLToPath(new URL('../../test-results/browser/page_build', import.meta.url));

let site: StaticSite;
let other: StaticSite | null = null;
test.beforeAll(async () => {
  site = await startSite({ folder, base: '/', mediaTypes: { '.mjs': 'text/javascript' } });
});
test.afterEach(async () => {
  await other?.close();
});
test.afterAll(async () => {
  await site.close();
});

/** Open a page of another origin than the site's, with this element in it. */
async function lesson(page: Page, info: TestInfo, element: string): Promise<FrameLocator> {
  const file = info.outputPath('lesson.html');
  // From a server of its own: browsers keep pages whose address is nowhere from asking this machine.
  writeFileSync(
    file,
    `<!doctype html><html lang="en"><title>A lesson</title><main><h1>A lesson</h1>
      <script>
        window.told = [];
        for (const name of ['ready', 'change', 'error'])
          addEventListener(name, ({ type, detail }) => {
            if (detail !== undefined) told.push({ type, ...detail });
          }, true);
      </script>
      <script src="${site.url}oriel-view.js"></script>
      ${element}<p id="after">After it.</p></main></html>`,
  );
  other = await startSite({ folder: dirname(file), base: '/' });
  expect(new URL(other.url).origin).not.toBe(new URL(site.url).origin);
  await page.goto(`${other.url}lesson.html`);
  return page.locator('oriel-view iframe').contentFrame();
}

interface Told {
  readonly type: string;
  readonly state?: string;
  readonly link?: string;
  readonly kind?: string;
  readonly message?: string;
}

const told = (page: Page): Promise<Told[]> => page.evaluate('told');
const last = async (page: Page): Promise<URLSearchParams> =>
  new URLSearchParams((await told(page)).at(-1)?.state);

const text = (sentence.text ?? '').replaceAll('"', '&quot;');

test('an element shows a view of another origin, follows its attributes and tells of changes', async ({
  page,
}, info) => {
  const frame = await lesson(
    page,
    info,
    `<oriel-view prompt="${text}" view="next" lang="en" theme="dark" title="A prediction"></oriel-view>`,
  );
  await expect.poll(async () => (await told(page)).map(({ type }) => type)).toContain('ready');
  // One view, without a heading, and nothing else of the page.
  await expect(frame.locator('h1')).toHaveCount(0);
  await expect(frame.getByTestId('attention')).toHaveCount(0);
  await expect(frame.locator('html')).toHaveAttribute('data-theme', 'dark');
  await expect(page.locator('iframe')).toHaveAttribute('title', 'A prediction');
  await expectCandidates(frame, right);
  const fits = (): Promise<boolean> =>
    frame.locator('html').evaluate(({ scrollHeight }) => scrollHeight <= innerHeight);
  await expect.poll(fits).toBe(true);

  // Another view and language, by attributes; the text stays.
  const element = page.locator('oriel-view');
  await element.evaluate((view) => {
    view.setAttribute('view', 'attention');
    view.setAttribute('head', '5.2');
    view.setAttribute('lang', 'zh');
    view.setAttribute('theme', 'light');
  });
  await expect(frame.locator('html')).toHaveAttribute('lang', 'zh-CN');
  await expect(frame.locator('html')).toHaveAttribute('data-theme', 'light');
  await expect(frame.getByTestId('shown-head')).toContainText('2');
  await expect(frame.getByTestId('candidate')).toHaveCount(0);
  await expect.poll(fits).toBe(true);

  // What the reader does inside is told, with a link to the page by itself.
  await frame.getByTestId('attention').getByTestId('head-5-1').click();
  await expect.poll(async () => (await last(page)).get('h')).toBe('5.1');
  const change = (await told(page)).at(-1);
  expect(new URLSearchParams(change?.state).get('p')).toBe(sentence.text);
  expect(change?.link).toContain(site.url);
  expect(change?.link).not.toContain('embed');
  expect(await element.evaluate((view) => (view as unknown as { state: string }).state)).toBe(
    change?.state,
  );

  // A model that the site hasn't got is an error, told in the page's language.
  await element.evaluate((view) => {
    view.setAttribute('model', 'none');
  });
  await expect.poll(async () => (await told(page)).at(-1)?.kind).toBe('unknown-model');
  await expect(frame.getByTestId('shown-head')).toBeVisible();
});

test('messages from other windows, origins and forms change nothing', async ({ page }, info) => {
  const frame = await lesson(
    page,
    info,
    `<oriel-view view="next" lang="en" height="300"></oriel-view>`,
  );
  await expect.poll(async () => (await told(page)).map(({ type }) => type)).toContain('ready');
  const before = await told(page);
  await page.evaluate(() => {
    // From this window, not from the frame.
    postMessage({ oriel: 'change', state: 'p=forged', link: 'https://forged.example/' }, '*');
    const inner = document.querySelector('oriel-view')?.shadowRoot?.querySelector('iframe');
    for (const message of [null, 'follow', { oriel: 'follow' }, { oriel: 'follow', state: 7 }])
      inner?.contentWindow?.postMessage(message, '*');
    // Of a third origin, inside the lesson as well.
    const third = document.createElement('iframe');
    third.srcdoc = `<script>
      parent.postMessage({ oriel: 'error', kind: 'forged', message: 'forged' }, '*');
    </script>`;
    third.sandbox.add('allow-scripts');
    return new Promise((resolve) => {
      third.addEventListener('load', resolve);
      document.body.append(third);
    });
  });
  // After all of them, in the same order, one that counts.
  await page.locator('oriel-view').evaluate((view) => {
    view.setAttribute('theme', 'dark');
  });
  await expect(frame.locator('html')).toHaveAttribute('data-theme', 'dark');
  await expect(frame.locator('html')).toHaveAttribute('lang', 'en');
  await expect.poll(async () => (await last(page)).get('theme')).toBe('dark');
  const after = await told(page);
  expect(JSON.stringify(after.slice(before.length))).not.toContain('forged');
  // A height of its own is kept, whatever the page asks for.
  await expect(page.locator('oriel-view iframe')).toHaveCSS('height', '300px');
});
