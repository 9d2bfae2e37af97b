// Which origins a build lets models come from.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { allowedOrigins, isAllowed } from '../../apps/web/src/bundle/address/allowed_origins';
import { examples } from './thorough';

const page = 'https://page.example';

test('nothing is allowed unless it is set', () => {
  expect(allowedOrigins(undefined, undefined)).toEqual([]);
  expect(allowedOrigins('models/demo/manifest.json', '')).toEqual([]);
  expect(isAllowed('https://page.example/models/a.json', page, [])).toBe(true);
  expect(isAllowed('https://elsewhere.example/a.json', page, [])).toBe(false);
});

test('the model’s own origin is allowed, without its path', () => {
  expect(allowedOrigins('https://cdn.example/m/manifest.json?v=3', undefined)).toEqual([
    'https://cdn.example',
  ]);
});

test('origins are listed once, in their usual form', () => {
  expect(
    allowedOrigins(
      'https://cdn.example/m',
      ' https://CDN.example/ ,http://localhost:8080,https://a.example:443,https://*.hf.example,*',
    ),
  ).toEqual([
    'https://cdn.example',
    'http://localhost:8080',
    'https://a.example',
    'https://*.hf.example',
    'https:',
  ]);
});

test.each([
  'cdn.example',
  'https://',
  'https://cdn.example/models',
  'https://cdn.example?x',
  'https://cdn.example#x',
  'https://user@cdn.example',
  "https://cdn.example; script-src 'unsafe-inline'",
  "'unsafe-inline'",
  'https://*',
  'https://*.example',
  'https://*:8080',
  'https://*.a.example:*',
  'https://a.*.example.org',
  'https:',
  'ftp://cdn.example',
  'data:',
  'https://cdn.example\nx',
])('%j is refused', (entry) => {
  expect(() => allowedOrigins(undefined, entry)).toThrow('VITE_MODEL_ORIGINS names');
});

test('a model is fetched over http or https', () => {
  expect(() => allowedOrigins('file:///m/manifest.json', undefined)).toThrow('VITE_MODEL_URL is');
});

const list = allowedOrigins(
  undefined,
  'https://cdn.example,http://127.0.0.1:9000,https://*.hf.example,http://localhost:*',
);

test.each([
  ['https://cdn.example/x', true],
  ['https://cdn.example:443/x', true],
  ['https://cdn.example:8443/x', false],
  ['http://cdn.example/x', false],
  ['https://cdn.example.evil.example/x', false],
  ['https://evil-cdn.example/x', false],
  ['https://cdn.example@evil.example/x', false],
  ['https://user:word@cdn.example/x', false],
  ['http://127.0.0.1:9000/x', true],
  ['http://127.0.0.1:9001/x', false],
  ['http://localhost:1234/x', true],
  ['http://localhost/x', true],
  ['https://localhost:1234/x', false],
  ['http://localhost.example:1234/x', false],
  ['https://a.hf.example/x', true],
  ['https://a.b.hf.example/x', true],
  ['https://hf.example/x', false],
  ['https://evilhf.example/x', false],
  ['http://a.hf.example/x', false],
  ['https://a.hf.example:8443/x', false],
  ['blob:https://page.example/1', false],
  ['data:text/plain,x', false],
  ['javascript:alert(1)', false],
  ['models/a.json', false],
])('%s: %s', (url, expected) => {
  expect(isAllowed(url, page, list)).toBe(expected);
});

test('any https means https', () => {
  const all = allowedOrigins(undefined, '*');
  expect(isAllowed('https://any.example:8443/x', page, all)).toBe(true);
  expect(isAllowed('http://any.example/x', page, all)).toBe(false);
});

test('whatever is set, a list never breaks out of its directive', () => {
  const text = fc.oneof(
    fc.string(),
    fc
      .array(
        fc.constantFrom('https://', '*.', 'a.example', ';', ' ', "'", ',', '/', ':', '443', '*'),
      )
      .map((parts) => parts.join('')),
  );
  fc.assert(
    fc.property(text, (entry) => {
      let sources: readonly string[];
      try {
        sources = allowedOrigins(undefined, entry);
      } catch {
        return;
      }
      for (const source of sources) expect(source).toMatch(/^https?:(\/\/[^\s;,'"/]+)?$/);
    }),
    { numRuns: examples(3000) },
  );
});
