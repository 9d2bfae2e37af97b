// Which variants need no network: those whose every piece is here, shared ones too.
import { expect, test } from 'vitest';
import type { Manifest } from '../../apps/web/src/contract/generated';
import { keptVariants } from '../../apps/web/src/inference/kept_variants';

const file = (path: string): Manifest['files'][number] => ({
  ...{ path, bytes: 4, digest: `sha256:${path}` },
  media_type: 'application/octet-stream',
});
const variant = (name: string, weights: string[]) => ({
  name,
  weights,
  interactive: { path: `${name}.interactive.onnx` },
});
const shared = ['t.json', 'c.json'];
const manifest = {
  files: [
    ...[...shared, 'fp32.interactive.onnx', 'fp32.onnx', 'q8.interactive.onnx'].map(file),
    { ...file('w.data'), chunks: [file('w/0'), file('w/1')] },
    file('q8.data'),
  ],
  variants: [variant('fp32', ['w.data']), variant('q8', ['q8.data'])],
  tokenizer: { tokenizer: 't.json', config: 'c.json' },
  // Only what is read.
} as unknown as Manifest;

const keptWith = (...paths: string[]): string[] => [
  ...keptVariants(manifest, new Set([...shared, ...paths].map((path) => `sha256:${path}`))),
];

test('a variant is kept once all its pieces and the tokenizer are', () => {
  expect(keptWith('fp32.interactive.onnx', 'w/0', 'w/1')).toEqual(['fp32']);
  // Neither the file that was cut into pieces nor the plain graph is a file of its own to fetch.
  expect(keptWith('fp32.interactive.onnx', 'w/0', 'w.data')).toEqual([]);
  expect(keptWith('w/0', 'w/1', 'q8.data', 'q8.interactive.onnx')).toEqual(['q8']);
  expect([...keptVariants(manifest, new Set(['sha256:w/0', 'sha256:w/1']))]).toEqual([]);
});
