// Which model an address leads to, by what the page knows of models, and what is refused.
import { expect, test } from 'vitest';
import {
  namesListed,
  readLink,
  targetOf,
  type KnownModels,
  type Link,
} from '../../apps/web/src/url/link';

const page = 'https://page.example/oriel/';
const own = `${page}models/demo/manifest.json`;
const llama = `${page}models/llama/manifest.json`;
const late = { kind: 'stalled', url: `${page}models/index.json`, ms: 1 } as const;

function entry(name: string, url: string): KnownModels['models'][number] {
  return { name, url, architecture: 'a', parameters: 1, bytes: 1 };
}

const known: KnownModels = {
  models: [entry('demo', own), entry('llama', llama)],
  listError: null,
  ownModel: own,
  isConfigured: false,
};
const nothing = { ...known, models: [] };

function link(address: string): Link {
  return readLink(`${page}${address}`, page, () => []);
}

test.each([
  ['', known, own],
  ['#p=some+text', known, own],
  ['#model=llama', known, llama],
  ['#model=demo', nothing, own],
  ['?model=other/manifest.json', known, `${page}other/manifest.json`],
  // The query says more exactly where the model is.
  ['?model=other/manifest.json#model=nowhere', known, `${page}other/manifest.json`],
] as const)('“%s” leads to a model', (address, models, url) => {
  expect(targetOf(link(address), models)).toEqual({ url, missing: null, refused: null });
});

test.each([
  ['#model=nowhere', known, { kind: 'unknown-model', got: 'nowhere', known: ['demo', 'llama'] }],
  [
    '#model=demo',
    { ...nothing, isConfigured: true },
    { kind: 'unknown-model', got: 'demo', known: [] },
  ],
  // Not known to be unknown: the list may yet come.
  ['#model=llama', { ...nothing, listError: late }, late],
] as const)('“%s” names a model that is not there', (address, models, refused) => {
  const missing = link(address).state.model;
  expect(targetOf(link(address), models)).toEqual({ url: '', missing, refused });
});

test('what the build does not allow is refused and named, whatever else the link says', () => {
  for (const hash of ['', '#p=text', '#model=llama']) {
    const refused = link(`?model=https://evil.example/m/${hash}`);
    expect(refused.refused).toMatchObject({ kind: 'origin-refused' });
    expect(targetOf(refused, known)).toMatchObject({ url: '', refused: refused.refused });
  }
});

test('only a name that nothing else explains needs the list', () => {
  expect(
    ['#model=llama', '#p=x', '?model=a#model=llama', '?model=data:,#model=llama']
      .map(link)
      .map(namesListed),
  ).toEqual([true, false, false, false]);
});
