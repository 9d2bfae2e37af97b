// The list of models that the page is served with: what lies in static/models, and nothing that a killed export left.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { listBundles } from '../../apps/web/plugins/models_index';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'oriel-index-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function bundle(name: string, model = name): Promise<void> {
  const place = join(folder, 'models', name);
  await mkdir(place, { recursive: true });
  const manifest = {
    model: { name: model, architecture: 'gpt2', parameters: 3 },
    files: [
      { path: 'a.onnx', bytes: 5 },
      { path: 'w.data', bytes: 7 },
      { path: 'other.onnx', bytes: 100 },
    ],
    variants: [{ weights: ['w.data'], interactive: { path: 'a.onnx' } }],
  };
  await writeFile(join(place, 'manifest.json'), JSON.stringify(manifest));
}

test('lists every bundle, with what opening it downloads', async () => {
  await bundle('tiny');
  await mkdir(join(folder, 'models', 'no manifest yet'));
  expect(await listBundles(folder)).toEqual([
    { name: 'tiny', path: 'tiny/manifest.json', architecture: 'gpt2', parameters: 3, bytes: 12 },
  ]);
  expect(await listBundles(join(folder, 'nowhere'))).toEqual([]);
});

test('leaves out hidden folders: a killed export leaves whole bundles in them', async () => {
  await bundle('tiny');
  await bundle('.tiny.oriel-0123456789ab', 'tiny');
  await bundle('.other.oriel-ba9876543210', 'other');
  expect((await listBundles(folder)).map((model) => model.path)).toEqual(['tiny/manifest.json']);
});

test.each(['模型', 'модель', 'modèle', 'हिन्दी', '50% #1?&=', 'a b'])(
  'gives an address that leads to the folder %s',
  async (name) => {
    await bundle(name);
    const [found] = await listBundles(folder);
    const address = new URL(found?.path ?? '', 'https://host.example/models/index.json');
    expect(address.search + address.hash).toBe('');
    expect(decodeURIComponent(address.pathname)).toBe(`/models/${name}/manifest.json`);
  },
);
