// What a link may name as the model, and what is refused before anything is fetched.
import { expect, test } from 'vitest';
import { BundleError } from '../../apps/web/src/bundle/bundle_error';
import {
  addressLabel,
  readModelParameter,
  withModelParameter,
  withoutModelParameter,
} from '../../apps/web/src/bundle/address/model_parameter';

const page = 'https://page.example/oriel/';
const allowed = ['https://models.example', 'https://*.cdn.example'];

function read(value: string): unknown {
  try {
    return readModelParameter(`${page}?x=1&model=${encodeURIComponent(value)}#p=1`, page, allowed);
  } catch (error) {
    if (error instanceof BundleError) return error.data;
    throw error;
  }
}

test.each([
  ['models/a/manifest.json', 'https://page.example/oriel/models/a/manifest.json'],
  ['https://page.example/m/', 'https://page.example/m/'],
  [
    'https://models.example/a/model.onnx?v=3&t=%2F#top',
    'https://models.example/a/model.onnx?v=3&t=%2F',
  ],
  ['https://eu.cdn.example/a/manifest.json', 'https://eu.cdn.example/a/manifest.json'],
])('%s is opened', (given, url) => {
  expect(read(given)).toBe(url);
});

test.each([
  'https://evil.example/m/manifest.json',
  'http://models.example/m/manifest.json',
  'https://models.example:8443/m/manifest.json',
  'https://models.example.evil.example/m/manifest.json',
  '//evil.example/m/manifest.json',
  'https:\\\\evil.example/m/manifest.json',
])('%s is of an origin that is not allowed', (given) => {
  expect(read(given)).toEqual({
    kind: 'origin-refused',
    origin: new URL(given, page).origin,
    allowed: ['https://page.example', ...allowed],
  });
});

test.each([
  ['data:application/json,{}', 'scheme'],
  ['blob:https://page.example/1', 'scheme'],
  ['javascript:alert(1)', 'scheme'],
  ['file:///etc/passwd', 'scheme'],
  ['https://models.example@evil.example/m/', 'credentials'],
  ['https://me:secret@models.example/m/', 'credentials'],
  ['http://', 'unreadable'],
  [`/${'a'.repeat(5000)}`, 'unreadable'],
])('%s is refused', (given, reason) => {
  expect(read(given)).toEqual({ kind: 'address-refused', address: given.slice(0, 200), reason });
});

test('a page without the parameter, or with an empty one, names none', () => {
  expect(readModelParameter(page, page, allowed)).toBeNull();
  expect(readModelParameter(`${page}?model=`, page, allowed)).toBeNull();
});

test('leaving the model leaves the rest of the address', () => {
  expect(withoutModelParameter(`${page}?x=1&model=a&y=2#p=1`)).toBe(`${page}?x=1&y=2#p=1`);
  expect(withoutModelParameter(`${page}?model=a`)).toBe(page);
});

test('a model is put back into the address in the place of another', () => {
  const url = 'https://models.example/a?v=3&t=%2F';
  for (const query of ['?model=b&x=1', '?x=1']) {
    const back = withModelParameter(`${page}${query}#p=1`, url);
    expect(readModelParameter(back, page, allowed)).toBe(url);
    expect(withoutModelParameter(back)).toBe(`${page}?x=1#p=1`);
  }
});

test.each([
  ['https://models.example/gpt2/manifest.json', 'gpt2 · models.example'],
  ['https://models.example/gpt2/', 'gpt2 · models.example'],
  ['https://models.example/a/small.onnx?v=3', 'small.onnx · models.example'],
  ['https://models.example/manifest.json', 'manifest.json · models.example'],
])('%s is called %s', (url, label) => {
  expect(addressLabel(url)).toBe(label);
});
