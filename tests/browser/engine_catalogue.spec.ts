// The list of bundles that the picker shows, from the development server and from a build.
import { stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from './engine';

test('the list names each exported bundle with the bytes that opening it takes', async ({
  request,
}) => {
  const response = await request.get('models/index.json');
  expect(response.headers()['content-type']).toContain('application/json');
  const listed = (await response.json()) as { path: string; bytes: number }[];
  const folder = fileURLToPath(new URL('../../apps/web/static/models/demo/', import.meta.url));
  const opened = [
    'model.open.onnx',
    'model.onnx.data',
    'tokenizer.json',
    'tokenizer_cases.json',
    'tokenizer_config.json',
  ];
  const sizes = await Promise.all(opened.map(async (name) => (await stat(folder + name)).size));
  expect(listed).toContainEqual({
    name: 'demo',
    path: 'demo/manifest.json',
    architecture: 'gpt2',
    parameters: expect.any(Number) as unknown,
    bytes: sizes.reduce((sum, size) => sum + size, 0),
  });
  expect((await request.get(`models/${listed[0]?.path ?? ''}`)).ok()).toBe(true);
});
