// A model on a host in bad weather, as a visitor meets it: one clear message, and "Try again" gives the right numbers.
import { expect as plainExpect } from '@playwright/test';
import { readFixtures } from './fixtures';
import { expectRightAnswer } from './right_answer';
import { test } from './shared_context';
import { startWeatherServer, type Fault } from './weather_server';

const expect = plainExpect.configure({ timeout: 60_000 });

/** Faults that stay until the visitor tries again, and what the message must say. */
const faults: [fault: Fault, kind: RegExp, says: RegExp][] = [
  ['missing', /^not-found$/, /HTTP 404/],
  ['html', /^not-found$/, /page|HTML/],
  ['flipped', /^integrity$/, /not the one/],
  ['busy-for-a-day', /^server$/, /HTTP 429/],
  // Where the page is isolated the browser hides even whether the host answers.
  ['no-cors', /^(no-cors|network)$/, /CORS/],
];

test('what goes wrong on the way is one message, and trying again works', async ({ page }) => {
  test.slow();
  const prompt = readFixtures('tiny-gpt2').prompt('sentence');
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(error.message));
  for (const [fault, kind, says] of faults) {
    await test.step(fault, async () => {
      // Another host, so that nothing of it is kept.
      const host = await startWeatherServer();
      host.weather = (file) => (/^chunks\/.*\.bin$/.test(file) ? fault : null);
      const where = new URLSearchParams({ model: host.url }).toString();
      const what = new URLSearchParams({ lang: 'en', on: 'wasm', p: prompt.text ?? '' }).toString();
      await page.goto(`/?${where}#${what}`);
      const alert = page.getByRole('alert');
      await expect(alert).toHaveCount(1);
      await expect(alert).toHaveAttribute('data-kind', kind);
      await expect(alert).toContainText(says);
      // It names the file.
      await expect(alert).toContainText('chunks/');
      await expect(alert).not.toContainText(/\bat \w+.*:\d+|undefined|\[object|NaN/);
      host.weather = () => null;
      await alert.getByRole('button', { name: 'Try again' }).click();
      await expectRightAnswer(page, prompt);
      await expect(alert).toHaveCount(0);
      await host.close();
      // What stayed would be taken for the next host's. A page that is open may hold or write files: leave it first.
      await page.goto('/models/demo/manifest.json');
      const isRemoved = (): Promise<boolean> =>
        page.evaluate(async () => {
          const root = await navigator.storage.getDirectory();
          return root.removeEntry('oriel', { recursive: true }).then(
            () => true,
            (error: unknown) => error instanceof DOMException && error.name === 'NotFoundError',
          );
        });
      await expect.poll(isRemoved).toBe(true);
    });
  }
  expect(problems).toEqual([]);
});
