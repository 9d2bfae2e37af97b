// Pictures and data that views save: pictures are valid XML whatever the text is, say where their numbers come from, and
// have the values' colours; Python reads the tensors, which are PyTorch's.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect as plainExpect, type Locator, type Page } from '@playwright/test';
import { colourOf } from '../../apps/web/src/charts/colour_ramps';
import type { Manifest } from '../../apps/web/src/contract/generated';
import { askPython } from './ask_python';
import { largestError, readFixtures, reference } from './fixtures';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 60_000 });
const root = fileURLToPath(new URL('../..', import.meta.url));
const sentence = readFixtures('demo').prompt('sentence');
const count = sentence.ids.length;
const { model } = JSON.parse(
  readFileSync(`${root}/apps/web/static/models/demo/manifest.json`, 'utf8'),
) as Manifest;

async function save(
  page: Page,
  view: Locator,
  kind: string,
): Promise<{ name: string; path: string }> {
  const button = view.getByRole('button', { name: kind, exact: true });
  const [download] = await Promise.all([page.waitForEvent('download'), button.click()]);
  return { name: download.suggestedFilename(), path: await download.path() };
}

async function open(page: Page, text: string, layers = '5'): Promise<Record<string, Locator>> {
  const names = ['attn_probs', 'mlp_output', 'lens_ids', 'lens_probs'];
  const activations = names.map((name) => `layer_${layers}_${name}`).join();
  const state = { lang: 'en', on: 'wasm', v: 'fp32', p: text, h: '5.2', open: activations };
  const shown = { a: `layer_${layers}_mlp_output` };
  await page.goto(`/#${new URLSearchParams({ ...state, ...shown }).toString()}`);
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  return {
    next: page.locator('section', { has: page.locator('#next-title') }),
    attention: page.getByTestId('attention'),
    lens: page.getByTestId('lens'),
    activations: page.getByTestId('activations'),
  };
}

interface Parsed {
  readonly root: string;
  readonly texts: readonly string[];
  readonly elements: readonly string[];
}

/** Read a picture by Python's XML parser. */
function parsed(svg: string): Parsed {
  return askPython('read_picture.py', [], svg) as Parsed;
}

test('pictures of every view are valid XML and say where they come from', async ({ page }) => {
  test.setTimeout(480_000);
  const hostile = `a <script>alert(1)</script> & "b" ]]> 你好\u0001`;
  const views = await open(page, hostile);
  const toggle = page.getByTestId('attention').getByTestId('toggle-head');
  await toggle.click();
  await expect(toggle).toHaveAttribute('aria-pressed', 'true');
  for (const name of ['attention', 'lens', 'activations']) {
    const view = views[name] ?? page.locator('body');
    await view.scrollIntoViewIfNeeded();
    const saved = await save(page, view, 'SVG');
    expect(saved.name).toMatch(/^demo_fp32_[0-9a-f]{8}_.*\.svg$/);
    const svg = readFileSync(saved.path, 'utf8');
    expect(svg).not.toContain('<script');
    const { root: rootName, texts, elements } = parsed(svg);
    expect(rootName).toBe('{http://www.w3.org/2000/svg}svg');
    expect(new Set(elements)).toEqual(new Set(['rect', 'text', 'g']));
    const caption = texts.slice(0, 5).join(' ');
    expect(caption).toContain('demo · fp32 · sha256:');
    expect(caption).toContain(model.weights_digest.slice(7, 23));
    expect(caption).toMatch(/Text, \d+ tokens: a.?<script>/);
    expect(texts.join(' ')).toContain('Edits: scale by 0 at layer_5_attn_z head 2');
  }
});

test("a saved picture has the values' colours, on screen and as pixels", async ({ page }) => {
  test.setTimeout(480_000);
  const { lens } = await open(page, sentence.text ?? '');
  if (lens === undefined) throw new Error('no lens');
  await lens.scrollIntoViewIfNeeded();
  // The other layers open by themselves or at this click.
  const others = page.getByTestId('open-lens');
  if (await others.isVisible()) await others.click();
  await expect(lens.locator('.row')).toHaveCount(13);
  const png = await save(page, lens, 'PNG');
  const { path } = await save(page, lens, 'SVG');
  const cells = [
    ...readFileSync(path, 'utf8').matchAll(
      /<rect x="([\d.]+)" y="([\d.]+)" width="72" height="22" fill="(rgb[^"]+)"/g,
    ),
  ].map(([, x = '', y = '', fill = '']) => ({ x: Number(x), y: Number(y), fill }));
  expect(cells).toHaveLength(12 * count);
  const probabilities = reference(sentence, 'layer_5_lens_probs').data;
  const scale = { kind: 'probability', limit: 1, root: false } as const;
  const [theme] = (['light', 'dark'] as const).filter((one) =>
    cells.some(({ fill }) => fill === colourOf(probabilities[0] ?? 0, scale, one)),
  );
  for (let position = 0; position < count; position++) {
    const { fill } = cells[5 * count + position] ?? {};
    expect(fill).toBe(colourOf(probabilities[position * 10] ?? 0, scale, theme ?? 'light'));
  }
  // The corners of cells have no text; a PNG has two pixels for one of the picture's.
  const colours = await page.evaluate(
    async ({ source, places }) => {
      const picture = new Image();
      picture.src = `data:image/png;base64,${source}`;
      await picture.decode();
      const canvas = new OffscreenCanvas(picture.width, picture.height);
      const context = canvas.getContext('2d');
      context?.drawImage(picture, 0, 0);
      return places.map(({ x, y }) =>
        Array.from(context?.getImageData(2 * x + 3, 2 * y + 3, 1, 1).data.slice(0, 3) ?? []),
      );
    },
    { source: readFileSync(png.path).toString('base64'), places: cells },
  );
  expect(colours.map((rgb) => rgb.join(' '))).toEqual(
    cells.map(({ fill }) => (fill.match(/\d+/g) ?? []).join(' ')),
  );
});

test('tensors are saved under their contract names', async ({ page }) => {
  test.setTimeout(480_000);
  const views = await open(page, sentence.text ?? '');
  const expected = {
    next: ['logits'],
    attention: ['layer_5_attn_probs'],
    lens: ['layer_5_lens_ids', 'layer_5_lens_probs'],
    activations: ['layer_5_mlp_output'],
  };
  for (const [name, wanted] of Object.entries(expected)) {
    const view = views[name] ?? page.locator('body');
    await view.scrollIntoViewIfNeeded();
    const file = await save(page, view, 'safetensors');
    expect(file.name).toMatch(/^demo_fp32_[0-9a-f]{8}_.*\.safetensors$/);
    const { tensors, metadata } = askPython('read_tensors.py', [file.path]) as {
      tensors: Record<string, { shape: number[]; values: number[] }>;
      metadata: Record<string, string>;
    };
    const document = JSON.parse(readFileSync((await save(page, view, 'JSON')).path, 'utf8')) as {
      ids: number[];
      tensors: Record<string, { shape: number[]; values: number[] }>;
    };
    expect(document.ids).toEqual(sentence.ids);
    expect(JSON.parse(metadata['oriel.ids'] ?? '')).toEqual(sentence.ids);
    expect(metadata['oriel.weights_digest']).toBe(model.weights_digest);
    expect(Object.keys(document.tensors)).toEqual(expect.arrayContaining(wanted));
    for (const tensor of wanted) {
      const { dims, data } = reference(sentence, tensor);
      const [shape, right] =
        tensor === 'logits'
          ? [[1, 1, dims.at(-1)], data.subarray(-(dims.at(-1) ?? 0))]
          : [[...dims], data];
      expect(tensors[tensor]?.shape).toEqual(shape);
      expect(document.tensors[tensor]?.shape).toEqual(shape);
      expect(document.tensors[tensor]?.values).toHaveLength(right.length);
      if (tensor.endsWith('_ids')) continue;
      expect(largestError(tensors[tensor]?.values ?? [], right)).toBeLessThan(1e-4);
      expect(largestError(document.tensors[tensor]?.values ?? [], right)).toBeLessThan(1e-4);
    }
  }
});
