// Takes a picture of the whole page and of each view, in both languages and themes, for docs/images: on the built page
// with the bundled model, as a reader sees it.
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test, type Page } from '@playwright/test';
import { readFixtures } from '../browser/fixtures';
import { startSite, type StaticSite } from '../browser/static_site';
import { openView, VIEW_STATES } from '../browser/view_states';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = join(root, 'test-results/browser/pictures/site');
const images = join(root, 'docs/images');
const sentence = readFixtures('demo').prompt('sentence');
const text = [sentence.text ?? '', sentence.ids.length] as const;
/** Pixels of a picture for each pixel of the page, for screens with small pixels. */
const scale = 1.5;
/** Of 100; letters stay sharp, at a third of a PNG's size. */
const quality = 80;

let site: StaticSite;

test.beforeAll(async () => {
  const python = process.env['ORIEL_PYTHON'] ?? '.venv/bin/python';
  const build = ['scripts/build_site.py', '--output', folder, '--base', '/'];
  execFileSync(python, build, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
  site = await startSite({
    folder,
    base: '/',
    headers: {
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
    },
  });
  mkdirSync(join(images, 'views'), { recursive: true });
});

test.afterAll(async () => {
  await site.close();
});

for (const language of ['en', 'zh'])
  for (const theme of ['light', 'dark'] as const)
    test(`pictures in ${language}, ${theme}`, async ({ browser }) => {
      const context = await browser.newContext({
        viewport: { width: 1280, height: 900 },
        colorScheme: theme,
        reducedMotion: 'reduce',
      });
      const page = await context.newPage();
      for (const state of VIEW_STATES) {
        const view = await openView(page, state, text, { base: site.url, language });
        const box = await view.boundingBox();
        if (box === null) throw new Error(`${state.view} has no place on the page`);
        await take(page, box, `views/${state.view}.${language}.${theme}.webp`);
      }
      const [whole] = VIEW_STATES;
      if (whole !== undefined) await openView(page, whole, text, { base: site.url, language });
      await page.evaluate(() => {
        scrollTo(0, 0);
      });
      const all = { x: 0, y: 0, width: 1280, height: 900 };
      await take(page, all, `page.${language}.${theme}.webp`);
      await context.close();
    });

interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Write what stands in a box of the page, with a margin, as WebP, which Playwright itself does not write. */
async function take(page: Page, { x, y, width, height }: Box, file: string): Promise<void> {
  const margin = file.startsWith('page') ? 0 : 16;
  const devtools = await page.context().newCDPSession(page);
  const scrolled = await page.evaluate(() => scrollY);
  const clip = {
    x: Math.max(0, x - margin),
    y: Math.max(0, y + scrolled - margin),
    width: width + 2 * margin,
    height: height + 2 * margin,
    scale,
  };
  const { data } = await devtools.send('Page.captureScreenshot', {
    format: 'webp',
    quality,
    clip,
    captureBeyondViewport: true,
  });
  writeFileSync(join(images, file), Buffer.from(data, 'base64'));
  await devtools.detach();
}
