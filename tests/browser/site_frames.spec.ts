// The built page in frames of another page that take rights away from it: it works, or says what the frame lacks.
import { expect as plainExpect, type FrameLocator, type Page } from '@playwright/test';
import { test } from './site';

const expect = plainExpect.configure({ timeout: 60_000 });

/** The rights without which no model opens, as an author would write them. */
const needed = 'sandbox="allow-scripts allow-same-origin"';

async function framed(page: Page, url: string, sandbox: string): Promise<FrameLocator> {
  await page.route('**/course.html', (route) =>
    route.fulfill({
      contentType: 'text/html',
      body: `<!doctype html><iframe sandbox="${sandbox}" src="${url}" width="1200" height="650"></iframe>`,
    }),
  );
  await page.goto(new URL('course.html', url).href);
  return page.frameLocator('iframe');
}

test('a frame that takes the page’s origin away is told to be the reason', async ({
  page,
  host,
}) => {
  // As GitHub Pages has it; without it the page's scripts don't come at all.
  const site = await host({ headers: { 'Access-Control-Allow-Origin': '*' } });
  const url = `${site.url}#lang=en&on=wasm`;
  const frame = await framed(page, url, 'allow-scripts');
  const alert = frame.getByRole('alert');
  await expect(alert).toHaveAttribute('data-kind', 'sandboxed');
  await expect(alert).toContainText('The frame around this page is sandboxed');
  await expect(alert).toContainText(needed);
  await expect(alert).toContainText(site.url);
  // To try again leads nowhere, and nothing of this page is kept.
  await expect(alert.getByRole('button')).toHaveCount(0);
  const kept = frame.getByTestId('kept');
  await expect(kept).toContainText('keeps nothing for this page');
  await expect(kept.getByRole('button')).toHaveCount(0);
  await frame.getByTestId('language').click();
  await expect(alert).toContainText('本页所在的框架受沙盒限制');
  await expect(alert).toContainText(needed);
});

const withoutScripts: [what: string, sandbox: string][] = [
  ['gives the page no origin, on a host that shares its scripts with none', 'allow-scripts'],
  ['forbids scripts', 'allow-same-origin'],
  ['forbids everything', ''],
];

for (const [what, sandbox] of withoutScripts) {
  test(`a frame that ${what} leaves a text that names what it lacks`, async ({ page, host }) => {
    const site = await host();
    const frame = await framed(page, `${site.url}#lang=en&on=wasm`, sandbox);
    const texts = frame.locator('#app > p');
    await expect(texts).toHaveCount(2);
    for (const text of await texts.all()) {
      await expect(text).toContainText(needed);
      await expect(text.getByRole('link')).toHaveJSProperty('href', site.url);
    }
    await expect(texts.first()).toContainText('in a frame of another page');
    await expect(texts.last()).toContainText('另一个页面的框架');
  });
}

test('a frame that gives both rights holds a page that answers', async ({ page, host }) => {
  const site = await host();
  const url = `${site.url}#lang=en&on=wasm`;
  const frame = await framed(page, url, 'allow-scripts allow-same-origin');
  await expect(frame.getByTestId('facts')).toBeAttached();
  await expect(frame.getByTestId('candidate').first()).toBeVisible();
  await expect(frame.getByRole('alert')).toHaveCount(0);
});
