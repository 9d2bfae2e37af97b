// The maps of attention, on the page and saved, and the head that a button is about: colours are read back and compared
// with PyTorch's numbers. Every other picture: ui_views_drawn.spec.ts.
import { expect as plainExpect, test, type Page } from '@playwright/test';
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
  for (const [layer, head] of [
    [5, 0],
    [11, 1],
    [0, 0],
  ] as const) {
    await page.getByTestId(`head-${layer}-${head}`).click();
    await expect(page.getByTestId('shown-head')).toContainText(`Layer ${layer}, head ${head}`);
    const claim = scores(sentence, layer, head);
    await check(claim, signedTo(limitOf(claim), root), writesScore);
  }
});

test('the head that was looked at is the one that a button is about', async ({ page }) => {
  await opened(page);
  const from = await page.getByTestId('head-5-0').boundingBox();
  const toggle = page.getByTestId('toggle-head');
  const to = await toggle.boundingBox();
  if (from === null || to === null) throw new Error('a head or the button is not there');
  await page.mouse.move(from.x + from.width / 2, from.y + from.height / 2);
  await expect(page.getByTestId('shown-head')).toContainText('Layer 5, head 0');
  // A look takes longer than the way over a neighbour.
  await page.waitForTimeout(800);
  // A straight way, over other heads and the gaps between.
  await page.mouse.move(to.x + to.width / 2, to.y + to.height / 2, { steps: 10 });
  await expect(page.getByTestId('shown-head')).toContainText('Layer 5, head 0');
  await expectDrawn(
    largeMap(page),
    probabilities(sentence, 5, 0),
    weights(await rootChosen(page)),
    'light',
    'the head looked at',
  );
  // The button names the head that it is about.
  await expect(toggle).toHaveText('Switch off layer 5, head 0');
  await page.mouse.down();
  await page.mouse.up();
  await expect(page).toHaveURL(/off=5\.0(&|$)/);
  await expect(page.getByTestId('head-5-0')).toContainText('off');
});
