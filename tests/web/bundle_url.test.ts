// From what a user may paste to the addresses of a bundle's files.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BundleError } from '../../apps/web/src/bundle/bundle_error';
import { bundleAddress, siblingUrl } from '../../apps/web/src/bundle/address/bundle_url';
import { examples } from './thorough';

const page = 'https://host.example/oriel/index.html';

test.each([
  ['models/a/manifest.json', 'https://host.example/oriel/models/a/manifest.json', null],
  ['models/a/model.onnx', 'https://host.example/oriel/models/a/manifest.json', 'model.onnx'],
  ['/m/model.onnx?v=3', 'https://host.example/m/manifest.json?v=3', 'model.onnx'],
  ['/m/model_fp16.onnx', 'https://host.example/m/manifest.json', 'model_fp16.onnx'],
  ['https://cdn.example/x/', 'https://cdn.example/x/manifest.json', null],
  ['https://cdn.example/x/?v=3', 'https://cdn.example/x/manifest.json?v=3', null],
  ['https://cdn.example/x/GPT.ONNX', 'https://cdn.example/x/manifest.json', 'GPT.ONNX'],
  [
    'https://cdn.example/x/other.json?t=a%2Fb#top',
    'https://cdn.example/x/other.json?t=a%2Fb',
    null,
  ],
])('%s', (given, manifestUrl, graphName) => {
  const address = bundleAddress(given, page);
  expect(address.manifestUrl.href).toBe(manifestUrl);
  expect(address.graphName).toBe(graphName);
});

test('what is no address is an error of the network', () => {
  expect(() => bundleAddress('http://', page)).toThrow(BundleError);
});

test.each(['data:application/json,{}', 'blob:https://page.example/1', 'file:///m/manifest.json'])(
  '%s is no address that a server can be asked for',
  (given) => {
    expect(() => bundleAddress(given, page)).toThrow(
      new BundleError({ kind: 'address-refused', address: given, reason: 'scheme' }),
    );
  },
);

test('siblings keep the folder and the query', () => {
  const manifest = new URL('https://cdn.example/x/manifest.json?v=3');
  expect(siblingUrl(manifest, 'sub/model.onnx.data').href).toBe(
    'https://cdn.example/x/sub/model.onnx.data?v=3',
  );
});

test('no path leads out of the folder', () => {
  const manifest = new URL('https://cdn.example/x/y/manifest.json');
  const part = fc.oneof(
    fc.constantFrom('..', '.', '', '%2e%2e', '\\..', 'x', 'http:', '//evil.example', ':', '?', '#'),
    fc.string(),
  );
  fc.assert(
    fc.property(fc.array(part), (parts) => {
      try {
        const url = siblingUrl(manifest, parts.join('/'));
        expect(url.href.startsWith('https://cdn.example/x/y/')).toBe(true);
      } catch (error) {
        // Refused, or not an address at all.
        expect(error instanceof BundleError || error instanceof TypeError).toBe(true);
      }
    }),
    { numRuns: examples(2000) },
  );
});
