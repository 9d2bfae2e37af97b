// The maps of attention, on the page and saved, and the head that a button is about: colours are read back and compared
// with PyTorch's numbers. Every other picture: ui_views_drawn.spec.ts.
import { expect as plainExpect, type Page } from '@playwright/test';
import type { Theme, ValueScale } from '../../apps/web/src/charts/colour_ramps';
import {
  answered,
  largeMap,
  limitOf,
  probabilities,
  rootChosen,
  saved,
  scores,
  signedTo,
  smallMap,
  weights,
  writesScore,
  writesWeight,
} from './drawn_claims';
import { readFixtures } from './fixtures';
import { expectDrawn, pngColours, savedDifference, type Claim } from './pixels';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 30_000 });
const demo = readFixtures('demo');
const sentence = demo.prompt('sentence');

async function opened(page: Page, hash = ''): Promise<void> {
  await page.emulateMedia({ colorScheme: 'light' });
  await page.goto(`/#lang=en&p=${encodeURIComponent(sentence.text ?? '')}${hash}`);
  await answered(page, sentence.ids.length);
}

test('the maps show the head that they name, after every change', async ({ page }) => {
  test.setTimeout(300_000);
  await opened(page, '&h=0.0');
  let theme: Theme = 'light';
  const shows = async (layer: number, head: number, of = sentence): Promise<void> => {
    await expect(page.getByTestId('shown-head')).toContainText(`Layer ${layer}, head ${head}`);
    const scale = weights(await rootChosen(page));
    const claim = probabilities(of, layer, head);
    const name = `layer ${layer}, head ${head}, ${theme}, ${of.name}`;
    await expectDrawn(largeMap(page), claim, scale, theme, `the large map of ${name}`);
    await expectDrawn(smallMap(page, layer, head), claim, scale, theme, `the small map of ${name}`);
  };
  await shows(0, 0);
  // The pointer previews, a click locks.
  await page.getByTestId('head-0-1').hover();
  await shows(0, 1);
  await page.getByTestId('head-5-1').hover();
  await shows(5, 1);
  await page.getByTestId('head-11-0').click();
  await shows(11, 0);
  // The keyboard.
  await page.getByTestId('head-11-0').focus();
  await page.keyboard.press('ArrowUp');
  await shows(5, 0);
  await page.getByTestId('head-11-0').focus();
  // The scale, the theme, the language.
  await page.getByTestId('attention').getByRole('checkbox').click();
  await shows(11, 0);
  await page.emulateMedia({ colorScheme: 'dark' });
  theme = 'dark';
  await shows(11, 0);

  // Scores: from PyTorch's queries and keys.
  await page.getByRole('button', { name: 'Raw scores' }).click();
  const showsScores = async (layer: number, head: number): Promise<void> => {
    await expect(page.getByTestId('shown-head')).toContainText(`Layer ${layer}, head ${head}`);
    const claim = scores(sentence, layer, head);
    const scale = signedTo(limitOf(claim), await rootChosen(page));
    await expectDrawn(largeMap(page), claim, scale, theme, `scores of ${layer}.${head}`);
    // Each small map by its own largest score, whichever head is shown.
    await expect(page.getByTestId('own-scales')).toBeVisible();
    for (const [l, h] of [
      [0, 1],
      [11, 0],
    ] as const) {
      // prettier-ignore
      const own = scores(sentence, l, h);
      const ownScale = signedTo(limitOf(own), await rootChosen(page));
      await expectDrawn(smallMap(page, l, h), own, ownScale, theme, `small scores ${l}.${h}`);
    }
  };
  await showsScores(11, 0);
  await page.getByTestId('head-5-0').hover();
  await showsScores(5, 0);
  await page.getByTestId('head-0-1').hover();
  await showsScores(0, 1);
  await page.getByRole('button', { name: 'Probabilities', exact: true }).click();
  await page.getByTestId('head-5-1').hover();
  await shows(5, 1);

  // Another text, as long as the first one.
  const other = demo.prompt('unicode');
  await page
    .getByRole('textbox')
    .first()
    .fill(other.text ?? '');
  await answered(page, other.ids.length);
  await shows(5, 1, other);
});

test('a saved picture shows PyTorch’s numbers: probabilities and scores, SVG and PNG', async ({
  page,
}) => {
  await opened(page, '&h=5.0');
  const root = await rootChosen(page);
  const check = async (claim: Claim, scale: ValueScale, writes: typeof writesScore) => {
    const svg = (await saved(page, 'SVG')).toString('utf8');
    expect(savedDifference(svg, claim, scale, 'light', writes)).toBe('');
    for (const [rect, colour] of await pngColours(page, await saved(page, 'PNG'), svg))
      expect(rect).toContain(`fill="${colour}"`);
  };
  await check(probabilities(sentence, 5, 0), weights(root), writesWeight);
  await page.getByRole('button', { name: 'Raw scores' }).click();
  // The probabilities stay until the scores are computed.
  await expect(page.getByTestId('own-scales')).toBeVisible();
  for (const [layer, head] of [
    [5, 0],
    [11, 1],
    [0, 0],
  ] as const) {
    const cell = page.getByTestId(`head-${layer}-${head}`);
    // A click on the head that is locked would release it.
    if ((await cell.getAttribute('aria-pressed')) !== 'true') await cell.click();
    await expect(page.getByTestId('shown-head')).toContainText(`Layer ${layer}, head ${head}`);
    const claim = scores(sentence, layer, head);
    await check(claim, signedTo(limitOf(claim), root), writesScore);
  }
});

test('a head is switched off where it is pointed at, however fast the pointer comes and goes', async ({
  page,
}) => {
  // Near the top of the page, where the note moves it: further down the browser keeps what is seen in its place.
  await page.setViewportSize({ width: 1280, height: 1200 });
  await opened(page, '&h=11.1&fold=overview');
  const toggle = page.getByTestId('toggle-head');
  await expect(toggle).toHaveText('Switch off layer 11, head 1');
  const cell = await page.getByTestId('head-5-0').boundingBox();
  const to = await toggle.boundingBox();
  if (cell === null || to === null) throw new Error('a head or the button is not there');
  // The button is about the head that is locked, whatever the pointer looks at or crosses on its way.
  await page.mouse.move(cell.x + cell.width / 2, cell.y + cell.height / 2);
  await expect(page.getByTestId('shown-head')).toContainText('Layer 5, head 0');
  await expect(toggle).toHaveText('Switch off layer 11, head 1');
  await page.mouse.move(to.x + to.width / 2, to.y + to.height / 2, { steps: 3 });
  await expect(page.getByTestId('shown-head')).toContainText('Layer 11, head 1');
  await expect(toggle).toHaveText('Switch off layer 11, head 1');
  // Only the cells that are looked at or locked have their switch.
  await expect(page.locator('.switch')).toHaveCount(1);

  // In the cell itself, over a neighbour and back.
  await page.getByTestId('head-5-1').hover();
  await page.getByTestId('head-5-0').hover();
  const own = page.getByTestId('switch-5-0');
  await expect(own).toHaveAccessibleName('Switch off layer 5, head 0');
  // The note that a head is off moves the page, so the second click of two would be on another head.
  await own.dblclick();
  await expect(page).toHaveURL(/off=5\.0(&|$)/);
  await expect(page.getByTestId('head-5-0')).toContainText('off');
  await page.mouse.move(3, 3);
  await expect(page.getByTestId('shown-head')).toContainText('Layer 5, head 0');
  await answered(page, sentence.ids.length);
  await expect(own).toHaveAccessibleName('Switch layer 5, head 0 on again');
  await own.click();
  await expect(page).not.toHaveURL(/off=/);
});

test('the keyboard reaches the switch of the head that has its focus', async ({ page }) => {
  await opened(page, '&h=11.1');
  await page.getByTestId('head-11-1').focus();
  await page.keyboard.press('ArrowUp');
  await expect(page.getByTestId('shown-head')).toContainText('Layer 5, head 1');
  await page.keyboard.press('Tab');
  await expect(page.getByTestId('switch-5-1')).toBeFocused();
  await expect(page.getByTestId('shown-head')).toContainText('Layer 5, head 1');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/off=5\.1(&|$)/);
});

test.describe('by touch', () => {
  test.use({ ownContext: true, hasTouch: true, viewport: { width: 390, height: 800 } });
  test('a tap locks a head and switches nothing off; its switch is there then', async ({
    page,
  }) => {
    await opened(page, '&h=11.1');
    const cell = page.getByTestId('head-0-2');
    await cell.scrollIntoViewIfNeeded();
    const box = await cell.boundingBox();
    // Where its switch is going to be.
    await cell.tap({ position: { x: (box?.width ?? 0) - 6, y: 6 } });
    await expect(page.getByTestId('shown-head')).toContainText('Layer 0, head 2');
    await expect(page.getByTestId('off-badge')).toHaveCount(0);
    await page.getByTestId('switch-0-2').tap();
    await expect(page).toHaveURL(/off=0\.2(&|$)/);
  });
});
