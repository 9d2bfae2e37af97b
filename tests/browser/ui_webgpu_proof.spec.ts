// The page's comparison with the publisher's numbers: a line confirms a right device, and a warning on every view
// reports a wrong one.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect as plainExpect, type Page } from '@playwright/test';
import type { Manifest, Variant } from '../../apps/web/src/contract/generated';
import { isolated } from './servers';
import { test } from './shared_context';
import { startSilentServer } from './silent_server';

const expect = plainExpect.configure({ timeout: 45_000 });
test.use({ comparesDevice: true });

const folder = fileURLToPath(new URL('../../apps/web/static/models/demo/', import.meta.url));
const manifest = JSON.parse(readFileSync(`${folder}manifest.json`, 'utf8')) as Manifest;
const wrongWeight = 'transformer.h.3.mlp.c_proj.weight';

function variantOf(of: Manifest, name: string): Variant {
  const found = of.variants.find((variant) => variant.name === name);
  if (found === undefined) throw new Error(`the demo has no ${name}`);
  return found;
}

/** Files that the server sends in place of the demo's own. */
type Changed = ReadonlyMap<string, Buffer>;

/** Serve the demo with these files changed while `isBroken` returns true. */
async function serve(page: Page, changed: Changed, isBroken = () => true): Promise<void> {
  await page.route('**/models/demo/**', async (route) => {
    const path = new URL(route.request().url()).pathname.split('/models/demo/')[1] ?? '';
    const body = isBroken() ? changed.get(path) : undefined;
    if (body === undefined) await route.fallback();
    else await route.fulfill({ body, contentType: 'application/octet-stream' });
  });
}

/** Return the files of a demo with `path` changed and its digest in the manifest updated. */
function signed(path: string, file: Buffer, of: Manifest = manifest): Changed {
  const digest = `sha256:${createHash('sha256').update(file).digest('hex')}`;
  const files = of.files.map((each) =>
    each.path === path ? { ...each, bytes: file.length, digest } : each,
  );
  return new Map([
    [path, file],
    ['manifest.json', Buffer.from(JSON.stringify({ ...of, files }))],
  ]);
}

/** Return q8's weights with one matrix of layer 3 changed: its values, or all its scales set to NaN. */
function brokenWeights(what: 'values' | 'scales'): Changed {
  const { weights, expansion } = variantOf(manifest, 'q8');
  const [path = ''] = weights;
  const weight = expansion?.weights.find(({ name }) => name === wrongWeight);
  if (weight?.scales === undefined) throw new Error(`q8 has no ${wrongWeight}`);
  const [rows = 0, columns = 0] = weight.shape;
  const file = readFileSync(`${folder}${path}`);
  if (what === 'values') file.fill(0x41, weight.values, weight.values + rows * columns);
  else {
    // Each output channel has its own float16 scale.
    const channels = weight.axis === 1 ? rows : columns;
    for (let at = 0; at < channels; at++) file.writeUInt16LE(0x7e00, weight.scales + 2 * at);
  }
  return signed(path, file);
}

const line = (page: Page) => page.getByTestId('proof-fact');

async function open(page: Page, on: 'wasm' | 'webgpu', variant = 'q8', lang = 'en'): Promise<void> {
  await page.goto(`/#lang=${lang}&on=${on}&v=${variant}`);
  await expect(page.getByTestId('candidate').first()).toBeVisible();
  await page.getByTestId('facts').scrollIntoViewIfNeeded();
}

async function hasGpu(page: Page): Promise<boolean> {
  return page.evaluate(async () => {
    if (!('gpu' in navigator)) return false;
    return (await navigator.gpu.requestAdapter().catch(() => null)) !== null;
  });
}

test('a right device is reported with its error, and nothing moves', async ({ page }) => {
  await open(page, 'wasm');
  const facts = page.getByTestId('facts');
  const before = await facts.boundingBox();
  await expect(line(page)).toContainText(
    /WebAssembly: matches PyTorch to \d\s×\s10⁻[⁵⁶⁷]; worst layer_\d+_\w+/u,
  );
  await expect(line(page).getByRole('status')).toContainText('matches PyTorch');
  await expect(line(page)).toContainText('183 activations of a short text compared with PyTorch 2');
  await expect(page.getByTestId('proof-wrong')).toHaveCount(0);
  const after = await facts.boundingBox();
  expect(after?.height).toBe(before?.height);
  // The reader's session continues.
  const first = page.getByTestId('candidate').first();
  const probability = (await first.getAttribute('data-probability')) ?? '';
  await page.locator('textarea').first().fill('The cat sat on');
  await expect(first).not.toHaveAttribute('data-probability', probability);
});

test('the line is in Chinese on the Chinese page, and updates with the variant', async ({
  page,
}) => {
  await open(page, 'wasm', 'int8_static', 'zh');
  await expect(line(page)).toContainText(/WebAssembly：与 PyTorch 相差不超过 0\.\d+；最大处为/u);
});

test('WebGPU is compared with the same numbers', async ({ page }) => {
  test.skip(test.info().project.name !== 'webgpu', 'no adapter');
  for (const variant of ['q8', 'int4']) {
    await open(page, 'webgpu', variant);
    expect(await hasGpu(page)).toBe(true);
    await expect(line(page)).toContainText(/WebGPU: matches PyTorch to .*; worst layer_\d+_\w+/u);
    await expect(page.getByTestId('proof-wrong')).toHaveCount(0);
    await page.goto('about:blank');
  }
});

test('a wrong weight is reported with its layer, and wasm is offered if it may help', async ({
  page,
}) => {
  const onGpu = test.info().project.name === 'webgpu';
  let broken = true;
  await serve(page, brokenWeights('values'), () => broken);
  await open(page, onGpu ? 'webgpu' : 'wasm');
  const note = page.getByTestId('proof-wrong');
  await expect(note).toBeVisible();
  await expect(note.getByRole('alert')).toContainText('computes wrong numbers for this model');
  await expect(note).toContainText('From layer 3 on:');
  await expect(page.getByTestId('proof-first')).toHaveText('layer_3_mlp_output');
  await expect(line(page)).toContainText('wrong numbers, first at layer_3_mlp_output');
  // The warning stays on every view, above content that doesn't move.
  await page.evaluate(() => {
    scrollTo(0, 0);
  });
  await expect(note).toBeInViewport();
  const offer = page.getByTestId('proof-wasm');
  if (!onGpu) {
    await expect(offer).toHaveCount(0);
    return;
  }
  // Behave like a kernel that is wrong only on the GPU.
  broken = false;
  await offer.click();
  await expect(page.getByTestId('provider-fact')).toContainText('WebAssembly');
  await expect(note).toHaveCount(0);
  await expect(line(page)).toContainText('WebAssembly: matches PyTorch to');
});

/**
 * Runs in the page's workers. The graph that the runtime reads has another epsilon in the norm before layer 3's MLP: the
 * files keep their digests, and one kernel of one layer computes wrong numbers.
 */
const wrongKernel = `
  const arrays = Object.getPrototypeOf(Uint8Array.prototype);
  const { set } = arrays;
  const find = (bytes, text, from, end) => {
    const wanted = new TextEncoder().encode(text);
    for (let at = from; at < end - wanted.length; at++)
      if (wanted.every((byte, index) => bytes[at + index] === byte)) return at;
    return -1;
  };
  arrays.set = function (source, offset) {
    // Into the runtime's memory, and too small for weights.
    const isGraph = source instanceof Uint8Array && source.length < 2e6 && this.length > 2 ** 23;
    const node = isGraph ? find(source, 'layer_norm_3/3', 0, source.length) : -1;
    if (node < 0) return set.call(this, source, offset);
    const changed = source.slice();
    // After the name of the attribute, its value: the field's tag, then four bytes.
    const value = find(changed, 'epsilon', node, node + 200) + 'epsilon'.length + 1;
    new DataView(changed.buffer).setFloat32(value, 1, true);
    return set.call(this, changed, offset);
  };
`;

test('a kernel that computes wrong numbers from right files is reported with its layer', async ({
  page,
}) => {
  const server = await startSilentServer(isolated, () => false, {}, wrongKernel);
  const on = test.info().project.name === 'webgpu' ? 'webgpu' : 'wasm';
  await page.goto(`${server.url}#lang=en&on=${on}&v=q8`);
  await expect(page.getByTestId('proof-first')).toHaveText('layer_3_mlp_pre');
  await expect(page.getByTestId('proof-wrong')).toContainText('From layer 3 on:');
  await server.close();
});

test('the first activation with NaN is reported', async ({ page }) => {
  await serve(page, brokenWeights('scales'));
  await open(page, 'wasm');
  const note = page.getByTestId('proof-wrong');
  await expect(note).toContainText('layer_3_mlp_output contains NaN or infinity.');
});

test('without a stored pass nothing is claimed, and a damaged pass is reported', async ({
  page,
}) => {
  const bare = structuredClone(manifest);
  for (const variant of bare.variants) delete variant.reference_pass;
  let changed: Changed = new Map([['manifest.json', Buffer.from(JSON.stringify(bare))]]);
  await page.route('**/models/demo/**', async (route) => {
    const path = new URL(route.request().url()).pathname.split('/models/demo/')[1] ?? '';
    const body = changed.get(path);
    if (body === undefined) await route.fallback();
    else await route.fulfill({ body, contentType: 'application/octet-stream' });
  });
  await open(page, 'wasm');
  await expect(line(page)).toContainText('not proven: the publisher stored no numbers');
  const path = variantOf(manifest, 'q8').reference_pass?.path ?? '';
  const file = readFileSync(`${folder}${path}`);
  file[file.length - 1] = 0x7f;
  file[file.length - 2] = 0xc0;
  changed = signed(path, file);
  await page.goto('about:blank');
  await open(page, 'wasm');
  await expect(line(page)).toContainText('not proven: the comparison failed');
  await expect(line(page)).toContainText('holds NaN or infinity');
  const large = structuredClone(manifest);
  for (const each of large.files) if (each.path === path) each.bytes = 40_000_000;
  changed = new Map([['manifest.json', Buffer.from(JSON.stringify(large))]]);
  await page.goto('about:blank');
  await open(page, 'wasm');
  await expect(line(page)).toContainText('not proven: the comparison failed');
  await expect(page.getByTestId('proof-wrong')).toHaveCount(0);
});
