// The view of interventions on the bundled model: what it shows before and after each edit is PyTorch's, by links, by the
// form and by the keyboard; the list is one with the heads' switches; and a link carries it.
import { expect as plainExpect, type Locator, type Page } from '@playwright/test';
import { softmax } from '../../apps/web/src/analysis/probabilities';
import { readFixtures, readPageEdits, reference } from './fixtures';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 60_000 });

const sentence = readFixtures('demo').prompt('sentence');
const { cases, sweep } = readPageEdits();
const baseline = softmax(
  reference(sentence, 'logits').data.slice(-(reference(sentence, 'logits').dims.at(-1) ?? 0)),
);

function linkOf(edits: readonly unknown[], more = ''): string {
  const text = encodeURIComponent(sentence.text ?? '');
  return `/#lang=en&p=${text}&e=${encodeURIComponent(JSON.stringify(edits))}${more}`;
}

async function answered(page: Page): Promise<void> {
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  await expect(page.getByTestId('token-count')).toHaveText(/^14 /);
  await expect(page.locator('main')).toHaveAttribute('aria-busy', 'false');
}

/** Bring the view into sight, where it draws. */
async function view(page: Page): Promise<Locator> {
  await page.locator('#interventions').scrollIntoViewIfNeeded();
  const found = page.getByTestId('interventions');
  await expect(found).toBeVisible();
  await found.scrollIntoViewIfNeeded();
  await answered(page);
  return found;
}

/** Wait until the view shows PyTorch's numbers under edits: each token before and after, and the divergence. */
async function expectEdited(page: Page, logits: readonly number[]): Promise<void> {
  const after = softmax(logits);
  const likeliest = after.indexOf(Math.max(...after));
  const rows = page.getByTestId('edited-token');
  await expect(page.locator(`[data-testid=edited-token][data-id="${likeliest}"]`)).toBeVisible();
  const error = async (): Promise<number> => {
    let largest = 0;
    for (const row of await rows.all()) {
      const id = Number(await row.getAttribute('data-id'));
      const shown = [await row.getAttribute('data-before'), await row.getAttribute('data-after')];
      const right = [baseline[id] ?? NaN, after[id] ?? NaN];
      for (const [at, value] of shown.entries())
        largest = Math.max(largest, Math.abs(Number(value) - (right[at] ?? NaN)));
    }
    return largest;
  };
  await expect.poll(error).toBeLessThan(1e-4);
  const nats = baseline.reduce((sum, p, at) => sum + p * Math.log(p / (after[at] ?? NaN)), 0);
  const shown = Number(
    await page.getByTestId('before-after').locator('[data-kl]').getAttribute('data-kl'),
  );
  expect(nats, 'the edit matters').toBeGreaterThan(1e-3);
  expect(Math.abs(shown - nats)).toBeLessThan(1e-3 * Math.max(1, nats));
}

for (const { name, edits, logits } of cases)
  test(`${name}: a link shows PyTorch’s prediction before and after`, async ({ page }) => {
    await page.goto(linkOf(edits));
    await answered(page);
    await view(page);
    await expect(page.getByTestId('edit-row')).toHaveCount(edits.length);
    await expectEdited(page, logits);
    // The prediction beside the text is of the edited model, and of the other where the reader asks for it.
    const after = softmax(logits);
    const first = page.getByTestId('candidate').first();
    const shown = async (): Promise<[number, number]> => [
      Number(await first.getAttribute('data-id')),
      Number(await first.getAttribute('data-probability')),
    ];
    const [id, probability] = await shown();
    expect(Math.abs(probability - (after[id] ?? NaN))).toBeLessThan(1e-4);
    await page.getByTestId('show-baseline').selectOption('baseline');
    const best = baseline.indexOf(Math.max(...baseline));
    await expect(first).toHaveAttribute('data-id', String(best));
    expect(Math.abs((await shown())[1] - (baseline[best] ?? NaN))).toBeLessThan(1e-4);
    await expectEdited(page, logits);
  });

/** The case of this name. */
function caseOf(name: string): (typeof cases)[number] {
  const found = cases.find((each) => each.name === name);
  if (found === undefined) throw new Error(`no case ${name}`);
  return found;
}

test('steering by the form: two prompts, a strength, a switch, and the link to it', async ({
  page,
  context,
}) => {
  const { edits, logits } = caseOf('steered by two prompts');
  await page.goto(linkOf([]));
  await answered(page);
  const form = (await view(page)).getByTestId('edit-form');
  await form.getByLabel('What to do').selectOption('steer');
  await form.getByLabel('Layer').fill('6');
  await form.getByLabel('Strength').fill('1');
  // Without a text it is refused in a line, and nothing changes.
  await form.getByTestId('save-edit').click();
  await expect(form.getByTestId('form-error')).toHaveText('Towards prompt: write a text here.');
  await expect(page.getByTestId('edit-row')).toHaveCount(0);
  await form.getByLabel('Towards prompt').fill('The little dog was very happy');
  await form.getByLabel('Away from prompt').fill('The little dog was very sad');
  await form.getByTestId('save-edit').click();
  const row = page.getByTestId('edit-row');
  await expect(row.getByTestId('edit-words')).toHaveText(
    'Steer the residual stream after layer 6 by 1 × (“The little dog was very happy” − “The little dog was very sad”), at every position',
  );
  await row.getByTestId('edit-strength').fill('2.5');
  await row.getByTestId('edit-strength').press('Tab');
  await expectEdited(page, logits);
  await row.getByRole('switch').uncheck();
  await expect(page.getByTestId('off-badge')).toHaveCount(0);
  await expect(page.getByTestId('edited-token')).toHaveCount(0);
  await row.getByRole('switch').check();
  await expectEdited(page, logits);
  const linked = (): unknown[] => {
    const given = new URLSearchParams(new URL(page.url()).hash.slice(1)).get('e');
    return JSON.parse(given ?? '[]') as unknown[];
  };
  await expect.poll(linked).toEqual(edits);
  const other = await context.newPage();
  await other.goto(page.url());
  await answered(other);
  await view(other);
  await expectEdited(other, logits);
});

test('by the keyboard: a head off at two positions is added, changed and removed', async ({
  page,
}) => {
  await page.goto(linkOf([]));
  await answered(page);
  const form = (await view(page)).getByTestId('edit-form');
  await form.getByLabel('Layer').focus();
  await page.keyboard.press('Control+a');
  await page.keyboard.type('5');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Control+a');
  await page.keyboard.type('9');
  await page.keyboard.press('Enter');
  await expect(form.getByTestId('form-error')).toHaveText(
    'Head: got “9”, expected a whole number from 0 to 3.',
  );
  await expect(form.locator('[name=head]')).toBeFocused();
  await page.keyboard.press('Control+a');
  await page.keyboard.type('2');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  await page.keyboard.type('3, 13');
  await page.keyboard.press('Enter');
  const row = page.getByTestId('edit-row');
  await expect(row.getByTestId('edit-words')).toHaveText(
    'Head 2 in layer 5 off, at positions 3, 13',
  );
  await expectEdited(page, caseOf('a head off at two positions').logits);
  await row.getByRole('button', { name: /^Edit: / }).press('Enter');
  await page.getByTestId('edit-form').getByLabel('Positions').fill('');
  await page.keyboard.press('Enter');
  await expect(row.getByTestId('edit-words')).toHaveText(
    'Head 2 in layer 5 off, at every position',
  );
  // The list and the heads' own switches are one.
  await expect(page).toHaveURL(/off=5\.2/);
  await expect(page.getByTestId('head-5-2')).toHaveAttribute('aria-label', /switched off/);
  await page.getByTestId('head-5-2').click();
  await page.getByTestId('toggle-head').click();
  await expect(row).toHaveCount(0);
  await page.getByTestId('toggle-head').click();
  await expect(row).toHaveCount(1);
  await row.getByRole('button', { name: /^Remove: / }).press('Enter');
  await expect(page.getByTestId('no-edits')).toBeVisible();
  await expect(page.getByTestId('off-badge')).toHaveCount(0);
});

test('a knock-out that leaves a token nothing to look at is refused in a line', async ({
  page,
}) => {
  await page.goto(linkOf([]));
  await answered(page);
  const form = (await view(page)).getByTestId('edit-form');
  await form.getByLabel('What to do').selectOption('knock-out');
  await form.getByLabel('Token that looks').selectOption('0');
  await form.getByLabel('Token it can’t see').selectOption('0');
  await form.getByTestId('save-edit').click();
  await expect(form.getByTestId('form-error')).toContainText('nothing left to look at');
  await expect(page.getByTestId('edit-row')).toHaveCount(0);
  await form.getByLabel('Layer').fill('4');
  await form.locator('[name=head]').fill('');
  await form.getByLabel('Token that looks').selectOption('13');
  await form.getByTestId('save-edit').click();
  await expect(page.getByTestId('edit-words')).toHaveText(
    'Layer 4: position 13 can’t look at position 0',
  );
});

test('bad edits of a link are named, one by one, and the rest is opened', async ({ page }) => {
  const good = { edit: 'scale', joint: 'mlp_output', layer: 8, factor: 0.5 };
  const bad = [
    { ...good, layer: 'eight' },
    { edit: 'add', joint: 'attn_z', layer: 1, from: { difference: ['a', 'b'] } },
    { ...good, layer: 40 },
  ];
  await page.goto(linkOf([good, ...bad]));
  await answered(page);
  const note = page.getByTestId('link-note');
  await expect(note).toContainText('edits (e={"edit":"scale"');
  await expect(note).toContainText('edits (e={"edit":"add"');
  await expect(note).toContainText('of another model or text');
  await expect(note).toContainText('edits (e=[{"edit":"scale"');
  await view(page);
  await expect(page.getByTestId('edit-words')).toHaveText(
    'The MLP of layer 8 × 0.5, at every position',
  );
});

test('edits act on generated text, too', async ({ page }) => {
  const { edits, logits } = caseOf('steered by two prompts');
  await page.goto(linkOf(edits));
  await answered(page);
  const best = logits.indexOf(Math.max(...logits));
  const candidate = page.locator(`[data-testid=candidate][data-id="${best}"]`);
  await candidate.getByRole('button').click();
  await expect(page.getByTestId('token-count')).toHaveText(/^15 /);
  await expect(page.getByTestId('off-badge')).toContainText('1 edit is on');
  const once = await page.getByTestId('candidate').first().getAttribute('data-probability');
  await expect(page).toHaveURL(/book\+to\+/);
  const again = page.url();
  // A fresh run of the longer text gives what the cached step gave.
  await page.goto('about:blank');
  await page.goto(again);
  await expect(page.getByTestId('token-count')).toHaveText(/^15 /);
  await expect
    .poll(async () => {
      const fresh = await page.getByTestId('candidate').first().getAttribute('data-probability');
      return Math.abs(Number(fresh) - Number(once));
    })
    .toBeLessThan(1e-4);
});

/** Fill in the form of a sweep and run it to its end. */
async function swept(page: Page, over: 'stream' | 'mlp' | 'heads', text: string): Promise<Locator> {
  const form = page.getByTestId('sweep');
  await form.locator('textarea').fill(text);
  await form.locator('select').first().selectOption(over);
  await form.getByTestId('run-sweep').click();
  const map = page.getByTestId('sweep-map');
  await expect(form.getByTestId('run-sweep')).toBeVisible();
  await expect(map).toBeVisible();
  return map;
}

async function valuesOf(map: Locator): Promise<number[]> {
  return ((await map.getAttribute('data-values')) ?? '').split(' ').map(Number);
}

for (const [over, columns] of [
  ['stream', 14],
  ['mlp', 14],
  ['heads', 4],
] as const)
  test(`a sweep over ${over} is PyTorch’s, cell by cell`, async ({ page }) => {
    await page.goto(linkOf([]));
    await answered(page);
    await view(page);
    const map = await swept(page, over, sweep.text);
    await expect(map).toHaveAttribute('data-rows', '12');
    await expect(map).toHaveAttribute('data-columns', String(columns));
    const values = await valuesOf(map);
    const expected = sweep[over];
    expect(values).toHaveLength(expected.length);
    const largest = Math.max(...expected.map(Math.abs));
    for (const [at, value] of values.entries())
      expect(Math.abs(value - (expected[at] ?? NaN))).toBeLessThan(1e-4 * largest);
    expect(Math.max(...expected) - Math.min(...expected), 'the patches matter').toBeGreaterThan(5);
  });

test('a cell of a sweep becomes an edit, by the keyboard, and does what the sweep says', async ({
  page,
}) => {
  await page.goto(linkOf([]));
  await answered(page);
  await view(page);
  const map = await swept(page, 'stream', sweep.text);
  await map.focus();
  await page.keyboard.press('PageUp');
  await page.keyboard.press('Home');
  for (let press = 0; press < 3; press++) await page.keyboard.press('ArrowDown');
  for (let press = 0; press < 9; press++) await page.keyboard.press('ArrowRight');
  await expect(page.getByTestId('sweep-reading')).toContainText('Layer 3, at');
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('edit-words')).toHaveText(
    `The residual stream before layer 3 as in “${sweep.text}”, at position 9`,
  );
  await expectEdited(page, caseOf('patched from the other text').logits);
});

test('a sweep of texts of other lengths or of no token is refused in a line', async ({ page }) => {
  await page.goto(linkOf([]));
  await answered(page);
  await view(page);
  const form = page.getByTestId('sweep');
  await form.getByTestId('run-sweep').click();
  await expect(form.getByTestId('sweep-problem')).toHaveText('Write a second text.');
  await form.locator('textarea').fill('Too short');
  await form.getByTestId('run-sweep').click();
  await expect(form.getByTestId('sweep-problem')).toContainText('this one 14');
  await form.locator('textarea').fill(sweep.text);
  await form.getByLabel('Token', { exact: true }).fill('two words');
  await form.getByTestId('run-sweep').click();
  await expect(form.getByTestId('sweep-problem')).toContainText('is not one token');
  await expect(page.getByTestId('sweep-map')).toHaveCount(0);
});
