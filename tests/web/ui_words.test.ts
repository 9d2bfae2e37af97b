// Numbers and errors in words: honest at both ends, complete in both languages.
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { DICTIONARIES } from '../../apps/web/src/i18n/all_dictionaries';
import { languageFor } from '../../apps/web/src/i18n/dictionary';
import { errorText } from '../../apps/web/src/i18n/error_text';
import { LANGUAGES, type Language } from '../../apps/web/src/i18n/languages';
import {
  information,
  bytes,
  inMillions,
  inTenThousands,
  milliseconds,
  percent,
  points,
  powerOfTen,
  ratio,
  signed,
  tickPercent,
} from '../../apps/web/src/i18n/number_format';
import type { ModelErrorData } from '../../apps/web/src/inference/model_types';

const plain = (text: string): string => text.replaceAll('\u202f', ' ');

test.each([
  [0, '0%'],
  [1, '100%'],
  [0.431, '43.1%'],
  [0.0312, '3.12%'],
  [0.00987, '0.99%'],
  [0.000031, '0.0031%'],
  [2e-9, '2.0 × 10⁻⁷%'],
  [0.99961, '99.961%'],
  [0.9999966, '99.99966%'],
  [1 - 1e-16, '>99.9999999999%'],
])('a probability of %d is %s', (value, text) => {
  expect(plain(percent(value))).toBe(text);
});

test('only 0 is 0 % and only 1 is 100%', () => {
  for (let exponent = 1; exponent < 300; exponent += 7) {
    expect(parseFloat(percent(10 ** -exponent))).toBeGreaterThan(0);
    if (exponent < 15) expect(percent(1 - 10 ** -exponent)).not.toMatch(/^100/);
  }
});

test('bits are 0 only where they are 0', () => {
  expect([0, 3.7221, 0.0964, 0.00051, 2.4e-8].map((value) => plain(information(value)))).toEqual([
    '0',
    '3.72',
    '0.096',
    '0.00051',
    '2.4 × 10⁻⁸',
  ]);
});

test('differences, values, sizes and times', () => {
  expect([0.051, -0.0654, 0].map(points)).toEqual(['+5.10', '−6.54', '0']);
  expect([-1.23456, 0, 336.2, 12345, 1e-7].map((v) => plain(signed(v)))).toEqual([
    '−1.235',
    '0',
    '336.2',
    '12345',
    '1.00 × 10⁻⁷',
  ]);
  expect([999, 342_801, 12_089_270].map((n) => plain(bytes(n)))).toEqual([
    '999 B',
    '342.8 kB',
    '12.1 MB',
  ]);
  expect([3.21, 18.4, 1420].map((ms) => plain(milliseconds(ms)))).toEqual([
    '3.2 ms',
    '18 ms',
    '1.42 s',
  ]);
  expect(plain(tickPercent(0.0625))).toBe('6.25%');
});

const errors: { [Kind in ModelErrorData['kind']]: ModelErrorData & { kind: Kind } } = {
  aborted: { kind: 'aborted' },
  sandboxed: { kind: 'sandboxed', address: 'http://x/#p=a', detail: 'd1' },
  hung: { kind: 'hung', part: 'runtime', ms: 45_000 },
  'not-found': { kind: 'not-found', url: 'http://x/models/a/manifest.json', status: 404 },
  network: { kind: 'network', url: 'http://x/m', offline: false },
  server: { kind: 'server', url: 'http://x/m', status: 503, retryAfterMs: 90_000 },
  stalled: { kind: 'stalled', url: 'http://x/m', ms: 20_000 },
  'no-cors': { kind: 'no-cors', url: 'http://x/m', origin: 'http://y' },
  'not-a-manifest': { kind: 'not-a-manifest', url: 'http://x/m', detail: 'd1' },
  'contract-version': { kind: 'contract-version', got: '2.0', supported: '1.x' },
  integrity: { kind: 'integrity', path: 'p1', expected: 'e1', got: 'g1' },
  'no-ranges': { kind: 'no-ranges', url: 'http://x/m', got: 0, expected: 1234 },
  'too-large': { kind: 'too-large', path: 'p1', bytes: 5_000_000_000, limit: 2_000_000_000 },
  'not-a-model': { kind: 'not-a-model', path: 'p1', reason: 'no-contract', got: 'g1' },
  'files-missing': { kind: 'files-missing', names: ['n1', 'n2'], count: 5 },
  'no-model-in-files': { kind: 'no-model-in-files', names: ['n1'], count: 1 },
  'too-many-files': { kind: 'too-many-files', limit: 20_000 },
  'address-refused': { kind: 'address-refused', address: 'a1', reason: 'scheme' },
  'origin-refused': { kind: 'origin-refused', origin: 'https://o1', allowed: ['https://o2'] },
  'unknown-model': { kind: 'unknown-model', got: 'x', known: ['demo'] },
  'unknown-variant': { kind: 'unknown-variant', got: 'g1', known: ['fp32', 'fp16'] },
  'unknown-activation': { kind: 'unknown-activation', got: 'g1' },
  'unknown-lens': { kind: 'unknown-lens', got: 'g1', known: ['logit', 'k2'] },
  'unfit-lens': { kind: 'unfit-lens', name: 'n1', reason: 'damaged', detail: 'd1' },
  'unknown-dictionary': { kind: 'unknown-dictionary', got: 'g1', known: ['d1', 'd2'] },
  'unfit-dictionary': { kind: 'unfit-dictionary', name: 'n1', reason: 'damaged', detail: 'd1' },
  'no-tokenizer': { kind: 'no-tokenizer' },
  'no-attribution': { kind: 'no-attribution' },
  'bad-tokens': { kind: 'bad-tokens', detail: 'd1' },
  'too-long': { kind: 'too-long', tokens: 300, limit: 256 },
  'provider-unavailable': { kind: 'provider-unavailable', provider: 'webgpu', detail: 'd1' },
  'variant-refused': {
    kind: 'variant-refused',
    variant: 'v1',
    provider: 'webgpu',
    refusal: { code: 'needs-f16' },
    next: { variant: 'q8', provider: 'wasm' },
  },
  'no-variant-fits': {
    kind: 'no-variant-fits',
    provider: 'webgpu',
    refusals: [{ variant: 'v1', refusal: { code: 'memory', bytes: 4e9, limit: 2e9 } }],
  },
  session: { kind: 'session', detail: 'd1' },
  run: { kind: 'run', detail: 'd1' },
};

test.each(Object.values(errors))('$kind says what, with which values, and what next', (error) => {
  for (const words of Object.values(DICTIONARIES)) {
    const text = errorText(error, words);
    expect(text.what).toMatch(/[.。]$/);
    expect(text.next).toMatch(/[.。]$/);
    const shown = JSON.stringify(text);
    const tags: unknown[] = [error.kind, 'webgpu', 'damaged', 'no-contract', 'scheme', 'runtime'];
    for (const value of Object.values(error).flat())
      if (typeof value === 'string' && !tags.includes(value)) expect(shown).toContain(value);
  }
});

test.each(['no-f16', 'device-lost', 'out-of-memory', 'other'] as const)(
  'a breakdown by %s names the variant, where it ran and the runtime’s words',
  (cause) => {
    const failure = { variant: 'v1', provider: 'webgpu', cause, next: null } as const;
    for (const words of Object.values(DICTIONARIES))
      for (const kind of ['session', 'run'] as const) {
        const text = errorText({ kind, detail: 'd1', failure }, words);
        expect(text.what).toContain('v1');
        expect(text.what).toContain('WebGPU');
        expect(text.details.map(({ value }) => value)).toEqual(['d1']);
        expect(text.next).toMatch(/[.。]$/);
      }
  },
);

test.each(['no-webgpu', 'no-adapter'] as const)(
  'WebGPU that is missing by %s is told in one sentence',
  (reason) => {
    for (const words of Object.values(DICTIONARIES)) {
      const text = errorText({ kind: 'provider-unavailable', provider: 'webgpu', reason }, words);
      expect(text.what).toContain('WebGPU');
      expect(text.what).toContain(words.variants.refusals[reason]);
      expect(text.what).toMatch(/[^.。][.。]$/);
      expect(text.details).toEqual([]);
    }
  },
);

test('ratios keep the digits that tell them from 1', () => {
  expect([1, 1.0213, 1.000312, 0.99987, 1.5, 1.00001, 1.0000000004].map(ratio)).toEqual([
    '1.00',
    '1.021',
    '1.00031',
    '0.99987',
    '1.50',
    '1.00001',
    '1.00',
  ]);
  expect([-7, 0, 1].map(powerOfTen)).toEqual(['10⁻⁷', '10⁰', '10¹']);
});

test('an address that answers with a page is not called a success', () => {
  const text = errorText(
    { kind: 'not-found', url: 'http://x/models/a/model.onnx.data', status: 200 },
    DICTIONARIES.en,
  );
  expect(text.what).toContain('file');
  expect(text.details.map(({ value }) => value)).toContain('a web page (HTTP 200)');
});

test('every Chinese sentence is Chinese', () => {
  const sentences = (value: unknown): string[] =>
    typeof value === 'string'
      ? [value]
      : typeof value === 'object' && value !== null
        ? Object.values(value).flatMap(sentences)
        : [];
  const same = new Set(sentences(DICTIONARIES.en));
  const left = sentences(DICTIONARIES.zh).filter(
    (text) => same.has(text) && !/^(zh|WebGPU|WebAssembly|PyTorch|Hugging Face Hub)$/.test(text),
  );
  expect(left).toEqual([]);
});

/** Where a word of a dictionary stands, and whether it is a text or takes values. */
function entries(value: unknown, path = ''): string[] {
  if (typeof value === 'object' && value !== null)
    return Object.entries(value).flatMap(([key, under]) => entries(under, `${path}.${key}`));
  return [`${path} ${typeof value}`];
}

test('both languages have every word', () => {
  expect(entries(DICTIONARIES.zh).sort()).toEqual(entries(DICTIONARIES.en).sort());
});

/** The sources of a language, all its sections one after the other. */
function written(language: Language): string {
  const folder = new URL(`../../apps/web/src/i18n/${language}/`, import.meta.url);
  return readdirSync(folder)
    .map((file) => readFileSync(new URL(file, folder), 'utf8'))
    .join('\n');
}
const chinese = written('zh');

test('each section of a language is a file of its own, under the same name in all', () => {
  const sections = readdirSync(new URL('../../apps/web/src/i18n/en/', import.meta.url)).sort();
  for (const language of LANGUAGES) {
    const folder = new URL(`../../apps/web/src/i18n/${language}/`, import.meta.url);
    expect(readdirSync(folder).sort()).toEqual(sections);
  }
});

test('the reader’s device has one name', () => {
  expect(chinese).toContain('本设备');
  expect(chinese.match(/本机|[此该]设备|这[台个]设备|[你您]的设备|电脑|计算机/g)).toBeNull();
  const english = written('en');
  expect(english.match(/(your|this|the) (machine|computer)\b|your device/gi)).toBeNull();
});

test('words that mislead stay away', () => {
  // A contract that one signs, a chat's session, and the like.
  expect(chinese.match(/契约|会话|现场|离零|起点|看进|删去末尾/g)).toBeNull();
});

test('no space stands before a percent sign', () => {
  for (const language of LANGUAGES)
    expect(written(language).match(/[\s\u00a0\u202f]%/g)).toBeNull();
  for (const value of [0, 1, 0.5, 0.0123, 2e-9, 1 - 1e-9])
    for (const text of [percent(value), tickPercent(value)]) expect(text).toMatch(/[^\s]%$/u);
});

test('Chinese is punctuated as Chinese', () => {
  const texts = chinese.match(/(['`])(?:(?!\1).)*[\u4e00-\u9fff](?:(?!\1).)*\1/gu) ?? [];
  expect(texts.length).toBeGreaterThan(200);
  for (const text of texts) {
    expect(text).not.toMatch(/[\u4e00-\u9fff][,;:?!](?!\w)/u);
    expect(text).not.toMatch(/[\u4e00-\u9fff] [\u4e00-\u9fff]/u);
  }
});

test('large numbers are counted as each language counts', () => {
  expect([512, 2_936_576, 124_439_808, 6_738_415_616].map(inMillions)).toEqual([
    '512',
    '2.9 million',
    '120 million',
    '6.7 billion',
  ]);
  expect([512, 2_936_576, 124_439_808].map((value) => plain(inTenThousands(value)))).toEqual([
    '512',
    '294 万',
    '1.24 亿',
  ]);
});

test('the language is the first of the browser’s that there is', () => {
  expect(languageFor(['fr-FR', 'zh-TW', 'en'])).toBe('zh');
  expect(languageFor(['en-GB', 'zh'])).toBe('en');
  expect(languageFor(['de'])).toBe('en');
});
