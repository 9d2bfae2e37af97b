// The prediction in depth: what the views show of every token, of the likeliest paths and of what sampling cuts is what
// transformers computes, on the bundled model and on a random one; a token in the middle is replaced; a path is taken by
// the keyboard; and a link brings all of it back.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect as plainExpect, type Locator, type Page } from '@playwright/test';
import { askPython } from './ask_python';
import { axeFaults } from './axe_faults';
import { startBundleServer, type BundleServer } from './bundle_server';
import { readFixtures } from './fixtures';
import { offer } from './offered_models';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 60_000 });
const root = fileURLToPath(new URL('../..', import.meta.url));
const sentence = readFixtures('demo').prompt('sentence');
const depth = 4;
const width = 3;
const sampling = { temperature: 1.3, topK: 60, topP: 0.9, minP: 0.05 };
/** Towards one token and away from another, by a length in the stream. */
const steer = { tokens: [40, 7], layer: 1, strength: 3 };
/** A text that leaves open what follows. */
const text = 'Once upon a time there was a little girl who';

interface Expected {
  readonly positions: readonly {
    readonly position: number;
    readonly probability: number;
    readonly rank: number;
    readonly entropy: number;
    readonly ids: readonly number[];
    readonly probabilities: readonly number[];
  }[];
  readonly beams: readonly { readonly path: readonly number[]; readonly joint: number }[];
  readonly kept: readonly { readonly tokens: number; readonly mass: number }[];
  /** Under the steering: the probabilities of every token behind the text, and of the text's own from the second on. */
  readonly steered: { readonly next: readonly number[]; readonly text: readonly number[] };
}

let bundles: BundleServer;
test.beforeAll(async () => {
  bundles = await startBundleServer();
});
test.afterAll(async () => {
  await bundles.close();
});

function inTorch(checkpoint: string, ids: readonly number[]): Expected {
  const asked = {
    ...{ checkpoint: join(root, checkpoint), ids, depth, width, top: 20, sampling },
    steer: { tokens: steer.tokens, layer: steer.layer, strength: steer.strength },
  };
  const input = JSON.stringify([asked]);
  const [answer] = askPython('predict_in_torch.py', [], input) as Expected[];
  if (answer === undefined) throw new Error('no answer');
  return answer;
}

async function visit(page: Page, model: string, more: Record<string, string>): Promise<void> {
  const { ids } = readFixtures(model).prompt('sentence');
  const url = model === 'demo' ? 'demo/manifest.json' : bundles.url(model);
  await offer(page, { model: url });
  const state = { lang: 'en', on: 'wasm', model: 'model', p: ids.join(' ') };
  await page.goto(`/#${new URLSearchParams({ ...state, ...more }).toString()}`);
  await expect(page.getByTestId('candidate').first()).toBeVisible();
}

/** The ids that the chips show, once there is one for each token; number and chips are read at one moment. */
async function chips(page: Page): Promise<number[]> {
  const read = (): Promise<{ tokens: number; ids: number[] }> =>
    page.evaluate(() => ({
      tokens: parseInt(document.querySelector('[data-testid=token-count]')?.textContent ?? '', 10),
      ids: [...document.querySelectorAll('.chip .id')].map(({ textContent }) =>
        Number(textContent),
      ),
    }));
  let ids: number[] = [];
  await expect(async () => {
    const shown = await read();
    expect(shown.ids).toHaveLength(shown.tokens);
    ({ ids } = shown);
  }).toPass({ timeout: 60_000 });
  return ids;
}

async function steps(page: Page): Promise<Locator> {
  await page.locator('#steps').scrollIntoViewIfNeeded();
  const view = page.getByTestId('steps');
  await expect(view.getByTestId('step-row').first()).toBeVisible();
  await expect(view.locator('[aria-busy=false]')).toHaveCount(1);
  return view;
}

async function tree(page: Page): Promise<Locator> {
  await page.locator('#paths').scrollIntoViewIfNeeded();
  const view = page.getByTestId('paths');
  await view.getByTestId('tree-depth').selectOption(String(depth));
  await view.getByTestId('tree-width').selectOption(String(width));
  await view.getByTestId('open-tree').click();
  await expect(view.getByTestId('best-path').first()).toBeVisible();
  return view;
}

async function numbers(element: Locator, ...names: readonly string[]): Promise<number[]> {
  return Promise.all(names.map(async (name) => Number(await element.getAttribute(`data-${name}`))));
}

async function expectAccessible(page: Page, within: string): Promise<void> {
  expect(await axeFaults(page, within)).toEqual([]);
}

for (const [model, checkpoint] of [
  ['demo', 'tools/model-export/oriel/models/demo/weights'],
  ['tiny-llama', 'test-results/browser/checkpoints/tiny-llama'],
] as const)
  test(`${model}: every token, the likeliest paths and the cuts are those of transformers`, async ({
    page,
  }) => {
    test.setTimeout(900_000);
    const { temperature, topK, topP, minP } = sampling;
    const s = [temperature, topK, topP, minP].join('_');
    await visit(page, model, { s, ...(model === 'demo' && { p: text }) });
    const ids = await chips(page);
    const right = inTorch(checkpoint, ids);

    const view = await steps(page);
    await expect(view.getByTestId('step-row')).toHaveCount(ids.length - 1);
    for (const each of right.positions) {
      const row = view.locator(`[data-testid=step-row][data-position="${each.position}"]`);
      const [id, probability, rank, entropy] = await numbers(
        row,
        ...['id', 'probability', 'rank', 'entropy'],
      );
      expect(id).toBe(ids[each.position]);
      expect(Math.abs((probability ?? NaN) - each.probability)).toBeLessThan(1e-5);
      expect(rank).toBe(each.rank);
      expect(Math.abs((entropy ?? NaN) - each.entropy)).toBeLessThan(1e-3);
    }
    // More of one position, with its probabilities.
    const at = right.positions.at(-1);
    await view
      .locator(`[data-testid=step-row][data-position="${at?.position}"]`)
      .locator('button.token')
      .click();
    const detail = view.getByTestId('step-detail').getByTestId('alternative');
    const others = (at?.ids ?? []).flatMap((id, rank) =>
      id === ids.at(-1) ? [] : [[id, at?.probabilities[rank] ?? NaN] as const],
    );
    await expect(detail).toHaveCount(others.length);
    for (const [rank, [id, probability]] of others.entries()) {
      const [shownId, shown] = await numbers(detail.nth(rank), 'id', 'probability');
      expect(shownId).toBe(id);
      expect(Math.abs((shown ?? NaN) - probability)).toBeLessThan(1e-5);
    }
    await expectAccessible(page, '[data-testid=steps]');

    const paths = await tree(page);
    const best = paths.getByTestId('best-path');
    await expect(best).toHaveCount(width);
    for (const [rank, { path, joint }] of right.beams.entries()) {
      await expect(best.nth(rank)).toHaveAttribute('data-path', path.join(' '));
      const [shown] = await numbers(best.nth(rank), 'joint');
      expect(Math.abs((shown ?? NaN) - joint)).toBeLessThan(1e-4);
    }
    await expectAccessible(page, '[data-testid=paths]');

    // Each rule takes from what the one before it left.
    let before = { tokens: right.kept.length === 0 ? 0 : Infinity, mass: 1 };
    for (const [place, rule] of (['top-k', 'top-p', 'min-p'] as const).entries()) {
      const left = right.kept[place] ?? before;
      const part = page.locator(`[data-testid=sampling-part][data-rule="${rule}"]`);
      const removed = before.tokens === Infinity ? null : before.tokens - left.tokens;
      if (removed === 0) await expect(part).toHaveCount(0);
      else {
        const [tokens, mass] = await numbers(part, 'tokens', 'mass');
        if (removed !== null) expect(tokens).toBe(removed);
        expect(Math.abs((mass ?? NaN) - (before.mass - left.mass))).toBeLessThan(1e-5);
      }
      before = left;
    }
    const keptRow = page.locator('[data-testid=sampling-part][data-rule=kept]');
    expect((await numbers(keptRow, 'tokens'))[0]).toBe(before.tokens);
    expect(Math.abs((await numbers(keptRow, 'mass'))[0] ?? NaN)).toBeCloseTo(before.mass, 5);

    // The form takes ids as well as words.
    await page.locator('#interventions').scrollIntoViewIfNeeded();
    const form = page.getByTestId('edit-form');
    await form.locator('[name=kind]').selectOption('steer');
    await form.locator('[name=direction]').selectOption('tokens');
    await form.locator('[name=layer]').fill(String(steer.layer));
    await form.locator('[name=strength]').fill(String(steer.strength));
    await form.getByTestId('save-edit').click();
    await expect(form.getByTestId('form-error')).toHaveText(
      'Token: got nothing, expected one token: its id, or a word.',
    );
    await form.locator('[name=token]').fill(String(steer.tokens[0]));
    await form.locator('[name=minus]').fill(String(steer.tokens[1]));
    await form.getByTestId('measure-stream').click();
    await expect(form.getByTestId('stream-length')).toContainText('After layer 1');
    await form.getByTestId('save-edit').click();
    await expect(page.getByTestId('edit-words')).toHaveText(
      /^Steer the residual stream after layer 1 by 3 × the unembedding direction of “.+” − “.+”, at every position$/,
    );
    const likeliest = right.steered.next.indexOf(Math.max(...right.steered.next));
    const first = page.getByTestId('candidate').first();
    await expect(first).toHaveAttribute('data-id', String(likeliest));
    const differences = async (): Promise<number> => {
      let most = 0;
      for (const candidate of await page.getByTestId('candidate').all()) {
        const [id = NaN, shown = NaN] = await numbers(candidate, 'id', 'probability');
        most = Math.max(most, Math.abs(shown - (right.steered.next[id] ?? NaN)));
      }
      return most;
    };
    await expect.poll(differences).toBeLessThan(1e-5);
    // Every token of the text is read again, under the edit.
    const edited = async (): Promise<number> => {
      const rows = await view.getByTestId('step-row').all();
      const shown = await Promise.all(rows.map((row) => numbers(row, 'probability')));
      const off = shown.map(([value = NaN], at) =>
        Math.abs(value - (right.steered.text[at] ?? NaN)),
      );
      return Math.max(...off);
    };
    await page.locator('#steps').scrollIntoViewIfNeeded();
    await expect.poll(edited).toBeLessThan(1e-5);
    const edits = (): string | null =>
      new URLSearchParams(new URL(page.url()).hash.slice(1)).get('e');
    await expect
      .poll(edits)
      .toBe(
        `[{"edit":"add","joint":"resid_post","layer":1,"strength":3,"from":{"unembedding":[40,7]}}]`,
      );
  });

test('a token in the middle is replaced and the rest kept or cut, a path taken by the keyboard, and all of it undone', async ({
  page,
}) => {
  test.setTimeout(600_000);
  const { ids } = sentence;
  await visit(page, 'demo', { s: '0.8_0_0.95_0_17', p: sentence.text ?? '' });
  await expect(page.getByTestId('token-count')).toHaveText(new RegExp(`^${ids.length} `));
  const view = await steps(page);
  const at = 5;
  const row = view.locator(`[data-testid=step-row][data-position="${at}"]`);
  const other = row.getByTestId('alternative').first();
  const [id = NaN, probability = NaN] = await numbers(other, 'id', 'probability');
  await other.click();
  await expect.poll(() => chips(page)).toEqual(ids.with(at, id));
  // What stands there now has the probability that it was offered with, before a text that did not change.
  await expect(row).toHaveAttribute('data-id', String(id));
  expect((await numbers(row, 'probability'))[0]).toBeCloseTo(probability, 6);

  await view.getByTestId('cut-rest').check();
  await view.getByTestId('steps-shown').selectOption('all');
  await row.getByTestId('alternative').first().click();
  await expect(page.getByTestId('token-count')).toHaveText(new RegExp(`^${at + 1} `));
  const cut = await chips(page);
  expect(cut.slice(0, at)).toEqual(ids.slice(0, at));
  await page.getByTestId('undo').click();
  await expect.poll(() => chips(page)).toEqual(ids.with(at, id));
  await page.getByTestId('undo').click();
  await expect.poll(() => chips(page)).toEqual([...ids]);

  // The third node of the tree in its order, then back to the one before it.
  const paths = await tree(page);
  const nodes = paths.getByTestId('path-node');
  await nodes.first().focus();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowRight');
  const focused = paths.locator('[data-testid=path-node]:focus');
  await expect(focused).toHaveAttribute('aria-level', '3');
  const path = ((await focused.getAttribute('data-path')) ?? '').split(' ').map(Number);
  expect(path).toHaveLength(3);
  await page.keyboard.press('ArrowLeft');
  await expect(focused).toHaveAttribute('data-path', path.slice(0, 2).join(' '));
  await page.keyboard.press('Enter');
  await expect.poll(() => chips(page)).toEqual([...ids, ...path.slice(0, 2)]);
  await page.getByTestId('undo').click();
  await expect.poll(() => chips(page)).toEqual([...ids]);

  // The seed draws the same token again, also after an undo, and in another tab.
  const bar = page.getByRole('group', { name: 'Generate' });
  await bar.getByTestId('step').click();
  await expect(page.getByTestId('token-count')).toHaveText(new RegExp(`^${ids.length + 1} `));
  const drawn = await chips(page);
  await bar.getByTestId('back').click();
  await expect.poll(() => chips(page)).toEqual([...ids]);
  await bar.getByTestId('step').click();
  await expect.poll(() => chips(page)).toEqual(drawn);
  await expect(page).toHaveURL(/tree=4\.3/);
  const linkedText = (): string | null =>
    new URLSearchParams(new URL(page.url()).hash.slice(1)).get('p');
  // The address follows the text after a pause, and may still have the path that was taken before.
  await expect.poll(linkedText).toBe(await page.getByRole('textbox').first().inputValue());
  const linked = page.url();
  await page.goto('about:blank');
  await page.goto(linked);
  await expect(page.getByTestId('seed')).toHaveValue('17');
  await page.locator('#paths').scrollIntoViewIfNeeded();
  await expect(page.getByTestId('best-path')).toHaveCount(width);
  await expect.poll(() => chips(page)).toEqual(drawn);
});

test('a link asks the attribution’s question again, fills in the sweep, and tells what it ignored', async ({
  page,
}) => {
  const sweep = { text: 'When Ben and Anna went', over: 'heads', answer: 'Ben', seed: 1 };
  await visit(page, 'demo', {
    ...{ p: sentence.text ?? '', t: '12', h: '5.1', attr: '259_14_n3_k4_x' },
    ...{ sweep: JSON.stringify(sweep), tree: '99.1' },
  });
  await page.locator('#attribution').scrollIntoViewIfNeeded();
  await expect(
    page.locator(
      '.found:not(.stale) [data-testid=attribution-sum][data-answer="259"][data-other="14"][data-at="12"]',
    ),
  ).toBeVisible();
  await expect(page.getByTestId('head-looks').locator('[data-key="4"]')).toBeVisible();
  await page.locator('#interventions').scrollIntoViewIfNeeded();
  const form = page.getByTestId('sweep');
  await expect(form.locator('textarea')).toHaveValue(sweep.text);
  await expect(form.locator('select').first()).toHaveValue('heads');
  await expect(form.getByLabel('Token', { exact: true })).toHaveValue('Ben');
  const note = page.getByTestId('link-note');
  await expect(note).toContainText('attribution (attr=x)');
  await expect(note).toContainText('patching sweep (sweep={"seed":1})');
  await expect(note).toContainText('tree of paths (tree=99.1)');
  // The address goes on to say all of it.
  await page.getByTestId('attributed-other').selectOption('second');
  await expect(page).toHaveURL(/attr=259_second_n3_k4(&|$)/);
  await expect(page).toHaveURL(/sweep=%7B%22text%22/);
});
