// What each picture of the page should show, by PyTorch, and how the page comes to a state in which it can be compared.
import { expect as plainExpect, type Locator, type Page } from '@playwright/test';
import type { ValueScale } from '../../apps/web/src/charts/colour_ramps';
import { reference, type Prompt } from './fixtures';
import type { Claim } from './pixels';

const expect = plainExpect.configure({ timeout: 30_000 });

export async function answered(page: Page, tokens: number): Promise<void> {
  await expect(page.getByTestId('token-count')).toHaveText(new RegExp(`^${tokens} `));
  await expect(page.locator('main')).toHaveAttribute('aria-busy', 'false');
}

/** PyTorch's attention of one head, with the fixtures' heads off or none; nothing for tokens to come. */
export function probabilities(prompt: Prompt, layer: number, head: number, headsOff = ''): Claim {
  const { dims, data } = reference(prompt, `layer_${layer}_attn_probs${headsOff}`);
  const n = dims.at(-1) ?? 0;
  return Array.from({ length: n }, (_, query) =>
    Array.from({ length: n }, (_, key) =>
      key > query ? null : (data[(head * n + query) * n + key] ?? NaN),
    ),
  );
}

/** q·k over the root of the head's width, from PyTorch's q and k; nothing for tokens to come. */
export function scores(prompt: Prompt, layer: number, head: number): Claim {
  const q = reference(prompt, `layer_${layer}_q`);
  const k = reference(prompt, `layer_${layer}_k`);
  const [, , n = 0, width = 0] = q.dims;
  const at = (from: typeof q, position: number, index: number): number =>
    from.data[(head * n + position) * width + index] ?? NaN;
  return Array.from({ length: n }, (_, query) =>
    Array.from({ length: n }, (_, key) => {
      if (key > query) return null;
      let sum = 0;
      for (let index = 0; index < width; index++) sum += at(q, query, index) * at(k, key, index);
      return sum / Math.sqrt(width);
    }),
  );
}

/** An activation of PyTorch's as one row per position; heads follow each other. */
export function vectors(prompt: Prompt, name: string): number[][] {
  const { dims, data } = reference(prompt, name);
  const [positions, width] = [dims.at(-2) ?? 0, dims.at(-1) ?? 0];
  const heads = dims.length === 4 ? (dims[1] ?? 1) : 1;
  return Array.from({ length: positions }, (_, position) =>
    Array.from({ length: heads }, (_, head) => {
      const from = (head * positions + position) * width;
      return [...data.subarray(from, from + width)];
    }).flat(),
  );
}

export function limitOf(claim: Claim): number {
  return claim.flat().reduce<number>((most, value) => Math.max(most, Math.abs(value ?? 0)), 0);
}

export const weights = (root: boolean): ValueScale => ({ kind: 'weight', limit: 1, root });
export const signedTo = (limit: number, root: boolean): ValueScale => ({
  kind: 'signed',
  limit,
  root,
});

export const largeMap = (page: Page): Locator => page.getByTestId('large-map').locator('canvas');
export const smallMap = (page: Page, layer: number, head: number): Locator =>
  page.getByTestId(`head-${layer}-${head}`).locator('canvas');

export async function rootChosen(page: Page): Promise<boolean> {
  return page.getByTestId('attention').getByRole('checkbox').isChecked();
}

/** The file that a button of a view saves. */
export async function saved(
  page: Page,
  kind: 'SVG' | 'PNG' | 'CSV',
  view = 'attention',
): Promise<Buffer> {
  const download = page.waitForEvent('download');
  await page.getByTestId(view).getByRole('button', { name: kind, exact: true }).click();
  const chunks: Buffer[] = [];
  for await (const chunk of await (await download).createReadStream()) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Whether a cell says its weight: `.43`, `1`, or a dot for what is too small for two digits. */
export function writesWeight(number: string, value: number): boolean {
  if (number === '·') return value < 0.005;
  return number === '.99' ? value >= 0.985 : Math.abs(Number(number) - value) <= 0.0051;
}

export function writesScore(number: string, value: number): boolean {
  return Math.abs(Number(number.replace('−', '-')) - value) <= 0.051;
}
