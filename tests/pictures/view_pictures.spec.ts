// Takes a picture of the whole page and of each view, in both languages and themes, for docs/images: on the built page
// with the bundled model, as a reader sees it. With ORIEL_PICTURES=compare it writes none, and holds what it sees to
// those that are there: what moves, overlaps or loses its colour shows, where other tests read numbers and words.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test, type Page } from '@playwright/test';
import { readFixtures } from '../browser/fixtures';
import { startSite, type StaticSite } from '../browser/static_site';
import { openView, stoodStill, VIEW_STATES } from '../browser/view_states';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = join(root, 'test-results/browser/pictures/site');
const images = join(root, 'docs/images');
const failed = join(root, 'test-results/browser/pictures/differing');
const isCompared = process.env['ORIEL_PICTURES'] === 'compare';
/** Of all pixels: letters are smoothed in other ways on other machines, and a number may end in another digit. */
const tolerated = 0.02;
const sentence = readFixtures('demo').prompt('sentence');
const text = [sentence.text ?? '', sentence.ids.length] as const;
const window = { width: 1280, height: 900 };
/** Pixels of a picture for each pixel of the page, for screens with small pixels. */
const scale = 1.5;
/** Of 100; letters stay sharp, at a third of a PNG's size. */
const quality = 80;
/** Pixels of the page around a view. */
const margin = 16;
/** Captures of one picture until two in a row are the same. */
const mostCaptures = 10;

let site: StaticSite;

test.beforeAll(async () => {
  const python = process.env['ORIEL_PYTHON'] ?? '.venv/bin/python';
  const build = ['scripts/build_site.py', '--output', folder, '--base', '/'];
  execFileSync(python, build, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
  for (const { model } of VIEW_STATES)
    if (model !== undefined)
      cpSync(join(root, 'test-results/browser/bundles', model), join(folder, 'models', model), {
        recursive: true,
      });
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
        viewport: window,
        colorScheme: theme,
        reducedMotion: 'reduce',
      });
      const page = await context.newPage();
      for (const state of VIEW_STATES) {
        await page.setViewportSize(window);
        const view = await openView(page, state, text, { base: site.url, language });
        if (isCompared && state.measures === true) continue;
        // A capture of more than the window changes the window for its time, and the page's layout with it.
        const height = await page.evaluate(() => document.documentElement.scrollHeight);
        await page.setViewportSize({ ...window, height });
        await stoodStill(view);
        const box = await view.boundingBox();
        if (box === null) throw new Error(`${state.view} has no place on the page`);
        const picture = await take(page, box, margin);
        await keep(page, picture, `views/${state.view}.${language}.${theme}.webp`);
      }
      if (isCompared) {
        await context.close();
        return;
      }
      await page.setViewportSize(window);
      const [whole] = VIEW_STATES;
      if (whole !== undefined) await openView(page, whole, text, { base: site.url, language });
      await page.evaluate(() => {
        scrollTo(0, 0);
      });
      await keep(
        page,
        await take(page, { x: 0, y: 0, ...window }, 0),
        `page.${language}.${theme}.webp`,
      );
      await context.close();
    });

interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/**
 * Return what stands in a box of the page, with a margin, as WebP, which Playwright itself does not write. A capture may
 * show a frame from before the last change, so it is repeated until two in a row are the same.
 */
async function take(page: Page, { x, y, width, height }: Box, around: number): Promise<Buffer> {
  const devtools = await page.context().newCDPSession(page);
  const scrolled = await page.evaluate(() => scrollY);
  const clip = {
    x: Math.max(0, x - around),
    y: Math.max(0, y + scrolled - around),
    width: width + 2 * around,
    height: height + 2 * around,
    scale,
  };
  let before = '';
  for (let times = 0; times < mostCaptures; times++) {
    const { data } = await devtools.send('Page.captureScreenshot', {
      format: 'webp',
      quality,
      clip,
    });
    if (data === before) {
      await devtools.detach();
      return Buffer.from(data, 'base64');
    }
    before = data;
  }
  throw new Error(`none of ${mostCaptures} captures shows what the one before showed`);
}

/** Write the picture, or compare it with the one that is there. */
async function keep(page: Page, picture: Buffer, file: string): Promise<void> {
  if (!isCompared) {
    writeFileSync(join(images, file), picture);
    return;
  }
  const share = await differingShare(page, [readFileSync(join(images, file)), picture]);
  if (share > tolerated) {
    mkdirSync(failed, { recursive: true });
    writeFileSync(join(failed, file.replace('views/', '')), picture);
  }
  expect
    .soft(share, `pixels of ${file} that differ; what was seen lies in ${failed}`)
    .toBeLessThanOrEqual(tolerated);
}

/** Return the share of pixels that differ visibly; 1 where the sizes differ. The browser decodes both. */
async function differingShare(page: Page, pictures: readonly Buffer[]): Promise<number> {
  const blank = await page.context().newPage();
  const share = await blank.evaluate(
    async (texts) => {
      const drawn = await Promise.all(
        texts.map(async (text) => {
          const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
          const bitmap = await createImageBitmap(new Blob([bytes], { type: 'image/webp' }));
          const { width, height } = bitmap;
          const context = new OffscreenCanvas(width, height).getContext('2d');
          context?.drawImage(bitmap, 0, 0);
          return { width, height, pixels: context?.getImageData(0, 0, width, height).data };
        }),
      );
      const [a, b] = drawn;
      if (a?.pixels === undefined || b?.pixels === undefined) return 1;
      if (a.width !== b.width || a.height !== b.height) return 1;
      let differing = 0;
      for (let at = 0; at < a.pixels.length; at += 4) {
        let most = 0;
        for (let channel = 0; channel < 3; channel++)
          most = Math.max(
            most,
            Math.abs((a.pixels[at + channel] ?? 0) - (b.pixels[at + channel] ?? 0)),
          );
        // A tenth of the range: less is smoothing and compression.
        if (most > 25) differing++;
      }
      return differing / (a.pixels.length / 4);
    },
    pictures.map((picture) => picture.toString('base64')),
  );
  await blank.close();
  return share;
}
