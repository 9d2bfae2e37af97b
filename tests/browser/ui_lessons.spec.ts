// Lessons: the tour is followed to its end by keyboard, by mouse and by touch, each step's claims are seen with PyTorch's
// numbers, and leaving gives the reader's own state back; anyone's lesson by a link, and bad ones refused in a line; the
// words that the page explains.
import { expect as plainExpect, type Locator, type Page } from '@playwright/test';
import { readFileSync } from 'node:fs';
import type { LessonDocument } from '../../apps/web/src/contract/generated';
import { axeFaults } from './axe_faults';
import { isolated } from './servers';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 60_000 });

const tour = JSON.parse(
  readFileSync(new URL('../../apps/web/static/lessons/tour.json', import.meta.url), 'utf8'),
) as LessonDocument;
const steps = tour.steps.length;
const own = 'The keys on the shelf';

const panel = (page: Page): Locator => page.getByTestId('lesson');
const seen = (page: Page): Locator =>
  page.locator('[data-testid=lesson-expectation][data-seen=true]');

async function open(page: Page, hash = ''): Promise<void> {
  await page.goto(`/#lang=en&on=wasm&p=${encodeURIComponent(own)}${hash}`);
  await expect(page.getByTestId('candidate').first()).toBeVisible();
}

/** The number that a claim of the step shows. */
async function valueOf(page: Page, claim: string): Promise<number> {
  const shown = page.locator(`[data-testid=lesson-claim][data-claim=${claim}]`).first();
  return Number(await shown.getAttribute('data-value'));
}

/** Wait for a step, do what it asks for by `press`, and expect its claims to be seen and its view to be marked. */
async function expectStep(page: Page, at: number, press: (button: Locator) => Promise<void>) {
  const step = tour.steps[at];
  await expect(panel(page)).toHaveAttribute('data-step', String(at + 1));
  await expect(page.locator('#lesson-title')).toBeFocused();
  if (step?.done !== undefined) {
    await expect(page.getByTestId('lesson-claim').first()).toHaveAttribute('data-holds', 'false');
    await press(page.getByTestId('lesson-do'));
  }
  await expect(seen(page)).toBeVisible();
  await expect(page.locator(`#${step?.view ?? ''}`)).toHaveAttribute('data-lesson-view', '');
  // PyTorch's numbers: test_lessons.py measures the same claims.
  if (at === 2) expect(await valueOf(page, 'probability')).toBeCloseTo(0.1206, 3);
  if (at === 7) expect(await valueOf(page, 'probability')).toBeCloseTo(0.0005, 3);
}

async function follow(page: Page, press: (button: Locator) => Promise<void>): Promise<void> {
  await press(page.getByTestId('lesson-tour'));
  for (let at = 0; at < steps; at++) {
    if (at > 0) await expectStep(page, at, press);
    else await expect(seen(page)).toBeVisible();
    if (at + 1 < steps) await press(page.getByTestId('lesson-next'));
  }
  await press(page.getByTestId('lesson-finish'));
  await expect(panel(page)).toHaveCount(0);
  await expect(page.getByTestId('learn').getByRole('button').first()).toBeFocused();
  await expect(page.getByTestId('token-count')).toHaveText(/^5 /);
  await expect(page.getByTestId('off-badge')).toHaveCount(0);
  await expect.poll(() => page.url()).not.toContain('lesson=');
  expect(decodeURIComponent(page.url()).replaceAll('+', ' ')).toContain(own);
}

test('the tour is followed to its end by keyboard', async ({ page }) => {
  await open(page);
  await follow(page, async (button) => {
    await button.focus();
    await page.keyboard.press('Enter');
  });
});

test('the tour is followed to its end by mouse, beside the views', async ({ page }) => {
  await page.setViewportSize({ width: 1440, height: 900 });
  await open(page);
  await follow(page, (button) => button.click());
});

test.describe('by touch', () => {
  test.use({ ownContext: true, hasTouch: true });

  test('the tour is followed to its end on a phone, and nothing is wider than it', async ({
    browser,
  }) => {
    const context = await browser.newContext({
      baseURL: isolated,
      hasTouch: true,
      isMobile: true,
      reducedMotion: 'reduce',
      serviceWorkers: 'block',
      viewport: { width: 390, height: 844 },
    });
    const page = await context.newPage();
    await open(page);
    await follow(page, (button) => button.tap());
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(390);
    await context.close();
  });
});

test('a step is a link, its question answers, and its words explain themselves', async ({
  page,
}) => {
  // A lesson and a step alone: the page shows the step's own state.
  await page.goto('/#lang=en&on=wasm&lesson=tour&step=5');
  await expect(panel(page)).toHaveAttribute('data-step', '5');
  await expect(seen(page)).toBeVisible();
  const question = page.getByTestId('lesson-question');
  await question.getByLabel('In layer 0').check();
  await expect(question.getByRole('status')).toContainText('Not quite.');
  await question.getByLabel('In layer 6, and around it').check();
  await expect(question.getByRole('status')).toContainText('Right.');
  expect(await axeFaults(page, '[data-testid=lesson]')).toEqual([]);
  expect(await axeFaults(page, '[data-testid=learn]')).toEqual([]);

  const word = panel(page).locator('[data-term=logit-lens]');
  await word.focus();
  await page.keyboard.press('Enter');
  const note = panel(page).locator('[popover]:popover-open');
  await expect(note).toContainText('softmax(W_U · final_norm(resid_post))');
  await expect(note).toContainText('lens_ids, lens_probs');
  await page.keyboard.press('Escape');
  await expect(note).toHaveCount(0);
  await expect(word).toBeFocused();

  await page.getByTestId('open-glossary').click();
  const glossary = page.getByTestId('glossary');
  await glossary.getByRole('searchbox').fill('perplex');
  await expect(glossary.locator('li .name')).toHaveText(['perplexity']);
  expect(await axeFaults(page, '[data-testid=glossary]')).toEqual([]);
  await page.keyboard.press('Escape');
  await expect(glossary).toHaveCount(0);
  await expect(page.getByTestId('open-glossary')).toBeFocused();

  // What the reader changes in a step, a reload keeps, and the lesson with it.
  await page.getByTestId('lesson-next').click();
  await expect(panel(page)).toHaveAttribute('data-step', '6');
  await expect(seen(page)).toBeVisible();
  await expect.poll(() => page.url()).toContain('step=6');
  await page.reload();
  await expect(panel(page)).toHaveAttribute('data-step', '6');
  await expect(seen(page)).toBeVisible();
});

const home = (name: string): string => new URL(`lessons/${name}.json`, isolated).href;

test.describe('a lesson from elsewhere', () => {
  test('is refused in a line where it may not come from there, is missing, too large or no lesson', async ({
    page,
  }) => {
    const step = { title: 't', text: 'x', state: '#' };
    const document = { lesson_version: '1.0', title: 't', introduction: 'i', steps: [step] };
    const claims = [{ claim: 'likeliest', tokn: ' a' }];
    const bodies: Record<string, string> = {
      large: JSON.stringify({ ...document, more: 'x'.repeat(600_000) }),
      page: '<!doctype html>',
      wrong: JSON.stringify({ ...document, steps: [{ ...step, expect: { text: 'x', claims } }] }),
      newer: JSON.stringify({ ...document, lesson_version: '2.0' }),
    };
    await page.route('**/lessons/*.json', (route) => {
      const name = /(\w+)\.json$/.exec(route.request().url())?.[1] ?? '';
      const body = bodies[name];
      return body === undefined ? route.fulfill({ status: 404 }) : route.fulfill({ body });
    });
    const refused: [address: string, says: RegExp][] = [
      ['http://localhost:9/a.json', /expected an https address/],
      ['https://elsewhere.example/a.json', /takes no lesson from https:\/\/elsewhere\.example/],
      [home('missing'), /no lesson at .*missing\.json \(HTTP 404\)/],
      [home('large'), /is larger than 524\.3.kB/],
      [home('page'), /no lesson that this page can read: it is not JSON/],
      [home('wrong'), /can read: \/steps\/0\/expect\/claims\/0/],
      [home('newer'), /of version 2\.0; this page reads 1\.x/],
      ['nowhere', /no lesson called “nowhere” here; expected one of tour, sampling/],
    ];
    for (const [address, says] of refused) {
      await page.goto('about:blank');
      await page.goto(`/#lang=en&on=wasm&lesson=${encodeURIComponent(address)}`);
      await expect(page.getByTestId('lesson-error')).toHaveText(says);
    }
    // The page itself opens all the same.
    await expect(page.getByTestId('candidate').first()).toBeVisible();
    await page.getByTestId('leave-lesson').click();
    await expect(panel(page)).toHaveCount(0);
  });

  test('is shown, as text alone, and measured on whatever model is open', async ({ page }) => {
    const lesson: LessonDocument = {
      lesson_version: '1.0',
      title: 'Mine',
      introduction: '<img src=x onerror="document.title=1">',
      steps: [
        {
          title: 'One',
          text: 'A *list*:\n- `one`\n- [[logit]] and [[no-such-term]]',
          state: '#p=After+Friday+comes',
          view: 'next',
          expect: {
            text: 'Both.',
            claims: [
              { claim: 'likeliest', token: ' Saturday' },
              { claim: 'likeliest', token: ' Sunday' },
            ],
          },
          question: { text: 'Which day?', answers: ['Saturday'], reply: 'Yes.' },
        },
      ],
    };
    await page.route(home('mine'), (route) => route.fulfill({ json: lesson }));
    await page.goto(`/#lang=en&on=wasm&lesson=${encodeURIComponent(home('mine'))}`);
    await expect(panel(page)).toContainText('<img src=x onerror="document.title=1">');
    await expect(panel(page).locator('img')).toHaveCount(0);
    await expect(panel(page).locator('li').first()).toHaveText('one');
    await expect(panel(page).locator('[data-term=logit]')).toBeVisible();
    await expect(panel(page)).toContainText('no-such-term');
    const claims = page.getByTestId('lesson-claim');
    await expect(claims.nth(0)).toHaveAttribute('data-holds', 'true');
    await expect(claims.nth(1)).toHaveAttribute('data-holds', 'false');
    await expect(seen(page)).toHaveCount(0);
    const question = page.getByTestId('lesson-question');
    await question.getByRole('textbox').fill('  saturday ');
    await question.getByRole('textbox').press('Enter');
    await expect(question.getByRole('status')).toContainText('Right.');
  });
});
