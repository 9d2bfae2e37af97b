// Manifests from anyone: each is taken whole and sound or refused in a short line. Python's verdicts are compared with the
// page's in tests/python/test_hostile_manifests.py.
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import limits from '../../contracts/limits.json' with { type: 'json' };
import type { Manifest } from '../../apps/web/src/contract/generated';
import { parseStrictJson } from '../../apps/web/src/contract/strict_json';
import { checkManifest } from '../../apps/web/src/contract/validate_manifest';
import { examples } from './thorough';

const contractExamples = new URL('../../contracts/examples/', import.meta.url);

function read(name: string): string {
  return readFileSync(new URL(name, contractExamples), 'utf8');
}

interface Text {
  readonly why: string;
  readonly parts: readonly (string | [string, number])[];
}

const texts = JSON.parse(read('texts.json')) as { refused: Text[]; taken: Text[] };

function written({ parts }: Text): string {
  return parts.map((part) => (typeof part === 'string' ? part : part[0].repeat(part[1]))).join('');
}

describe('texts that readers could read in two ways', () => {
  test.each(texts.refused)('$why is refused', (entry) => {
    const verdict = parseStrictJson(written(entry));
    expect(verdict.kind).toBe('refused');
    expectShort(verdict.kind === 'refused' ? verdict.detail : '');
  });

  test.each(texts.taken)('$why is taken', (entry) => {
    const text = written(entry);
    const value: unknown = JSON.parse(text);
    expect(parseStrictJson(text)).toEqual({ kind: 'json', value });
  });
});

test('what is read is what JSON.parse reads', () => {
  fc.assert(
    fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
      const text = JSON.stringify(value);
      const verdict = parseStrictJson(text);
      if (verdict.kind === 'json') expect(verdict.value).toEqual(JSON.parse(text));
    }),
    { numRuns: examples(1000) },
  );
});

const bases = ['least', 'chunked', 'encoded', 'whole', 'newer_minor', 'open'].map((name) =>
  read(`valid/manifest__${name}.json`),
);

const nasty = fc.oneof(
  fc.constantFrom<unknown>(
    ...['', '..', 'a/../b', '/a', '//h/x', 'C:', 'a\\b', '%2e%2e%2fx', 'a.', 'nul', 'a/Com1.bin'],
    ...['MODEL.ONNX', 'manifest.json', 'model.onnx/x', 'model.onnx', 'a\0', '\u202E', '\uD800'],
    ...[
      'constructor',
      'fp32',
      '2.0',
      '1.9',
      'logits',
      'layer_9_q',
      'AA==',
      `sha256:${'a'.repeat(64)}`,
    ],
    ...[-1, 0, 0.5, 2 ** 53, 2 ** 53 - 1, 2 ** 41, 1e308, true, null, [], {}, [[]]],
  ),
  fc.jsonValue({ maxDepth: 2 }),
  fc.string({ maxLength: 400, unit: 'binary' }),
);

/** Where to change (a number for each step down), how, and into what. */
const change = fc.record({
  way: fc.array(fc.nat(), { minLength: 1, maxLength: 9 }),
  how: fc.constantFrom('delete', 'replace', 'repeat', 'copy'),
  value: nasty,
});

type Change = typeof change extends fc.Arbitrary<infer C> ? C : never;

function changed(document: unknown, { way, how, value }: Change): void {
  let node = document as Record<string, unknown>;
  for (const [step, number] of way.entries()) {
    const keys = Object.keys(node);
    const key = keys[number % keys.length];
    if (key === undefined) return;
    const inside = node[key];
    const isLast = step === way.length - 1;
    if (!isLast && typeof inside === 'object' && inside !== null) {
      node = inside as Record<string, unknown>;
      continue;
    }
    const other = keys[(number + step + 1) % keys.length] ?? key;
    if (how === 'delete') Reflect.deleteProperty(node, key);
    else if (how === 'copy') node[key] = structuredClone(node[other]);
    else if (how === 'repeat' && Array.isArray(node))
      (node as unknown[]).push(structuredClone(inside));
    else node[key] = value;
    return;
  }
}

function expectShort(detail: string): void {
  expect(detail.length).toBeLessThan(400);
  expect(detail).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
}

function expectSoundOrRefused(text: string): boolean {
  const parsed = parseStrictJson(text);
  if (parsed.kind === 'refused') {
    expectShort(parsed.detail);
    return false;
  }
  const verdict = checkManifest(parsed.value);
  if (verdict.kind === 'manifest') expectSound(verdict.manifest);
  else expectShort(verdict.kind === 'not-a-manifest' ? verdict.detail : verdict.got);
  return verdict.kind === 'manifest';
}

/** What whoever opens the bundle leans on, said once more and plainly. */
function expectSound({ files, variants }: Manifest): void {
  const expansions = variants.flatMap(({ expansion }) => expansion ?? []);
  const all = [...files, ...files.flatMap(({ chunks }) => chunks ?? []), ...expansions];
  const sizes = new Map(all.map(({ digest, bytes }) => [digest, bytes]));
  for (const { path, bytes, digest } of all) {
    const url = new URL(path, 'https://host/folder/');
    if (url.href !== `https://host/folder/${path}`) throw new Error(`${path} leads to ${url.href}`);
    if (!Number.isSafeInteger(bytes) || bytes > 2 ** 40) throw new Error(`${bytes} bytes`);
    if (sizes.get(digest) !== bytes) throw new Error(`${digest} of two lengths`);
  }
  if ([...files, ...expansions].reduce((sum, { bytes }) => sum + bytes, 0) > 2 ** 42) {
    throw new Error('too much');
  }
  for (const { path, bytes, chunks } of files) {
    const total = chunks?.reduce((sum, chunk) => sum + chunk.bytes, 0) ?? bytes;
    if (total !== bytes) throw new Error(`${path} is not its chunks`);
    if (chunks?.some((chunk) => chunk.path === path)) throw new Error(`${path} is its own chunk`);
  }
  const listed = new Set(files.map(({ path }) => path.toLowerCase()));
  if (listed.size !== files.length) throw new Error('two files are one');
  for (const variant of variants) {
    const { weights, plain, decoder, open, interactive, expansion, taps } = variant;
    const graphs = [plain, decoder, open, interactive].filter((graph) => graph !== undefined);
    const used = [...weights, ...graphs.map(({ path }) => path)];
    if (new Set(used).size !== used.length) throw new Error('a file has two uses');
    if (expansion && used.includes(expansion.path)) throw new Error('it expands over another');
    // Taps are appended to these two, which have no activations of their own.
    if ((open === undefined) === (interactive === undefined)) throw new Error('no graph to tap');
    const tapped = (open ?? interactive)?.activations.outputs ?? [];
    const outputs = [...tapped, ...taps.flatMap((tap) => tap.outputs)].map(({ name }) => name);
    if (new Set(outputs).size !== outputs.length) throw new Error('an output is given twice');
  }
}

test('a changed manifest is sound or refused in a short line', () => {
  const numRuns = examples(5000);
  let taken = 0;
  fc.assert(
    fc.property(
      fc.constantFrom(...bases),
      fc.array(change, { minLength: 1, maxLength: 3 }),
      (base, changes) => {
        const document: unknown = JSON.parse(base);
        for (const each of changes) changed(document, each);
        if (expectSoundOrRefused(JSON.stringify(document))) taken++;
      },
    ),
    { numRuns },
  );
  expect(taken).toBeGreaterThan(numRuns / 100);
});

test('a text that is changed byte by byte is sound or refused in a short line', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...bases),
      fc.array(
        fc.tuple(
          fc.nat(),
          fc.nat(3),
          fc.constantFrom(...'" { } [ ] , : 9 - e99 \\ \\u \0'.split(' '), ' ', ''),
        ),
        {
          minLength: 1,
          maxLength: 3,
        },
      ),
      (base, edits) => {
        let text = base;
        for (const [place, length, put] of edits) {
          const at = place % text.length;
          text = text.slice(0, at) + put + text.slice(at + length);
        }
        expectSoundOrRefused(text);
      },
    ),
    { numRuns: examples(2000) },
  );
});

test('names of JavaScript’s own are names like others', () => {
  const manifest = JSON.parse(bases[3] ?? '') as Manifest;
  for (const name of ['constructor', 'valueOf', 'toString']) {
    const [variant] = manifest.variants;
    if (variant === undefined) throw new Error('no variant');
    expect(
      checkManifest({ ...manifest, variants: [{ ...variant, name: name.toLowerCase() }] }).kind,
    ).toBe('manifest');
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  }
});

test.each([
  ['whole', 'taps', 5],
  ['whole', 'tap_characters', 100],
  ['chunked', 'chunks', 4],
  ['encoded', 'total_bytes', 9000],
  ['encoded', 'file_bytes', 2000],
] as const)('of %s, %s are limited', (name, limit, most) => {
  const json: unknown = JSON.parse(read(`valid/manifest__${name}.json`));
  expect(checkManifest(json).kind).toBe('manifest');
  const before = limits.manifest[limit];
  limits.manifest[limit] = most;
  try {
    expect(checkManifest(json)).toMatchObject({
      kind: 'not-a-manifest',
      detail: expect.stringContaining(`over ${most}`) as unknown,
    });
  } finally {
    limits.manifest[limit] = before;
  }
});

test.each([
  ['files', 10_000],
  ['taps', 100_000],
] as const)('%s, %i of them, are refused for their number', (part, count) => {
  const manifest = JSON.parse(bases[3] ?? '') as Manifest;
  const [variant] = manifest.variants;
  const [file] = manifest.files;
  const [tap] = variant?.taps ?? [];
  if (file === undefined || variant === undefined || tap === undefined) throw new Error('no tap');
  const repeated =
    part === 'files'
      ? { ...manifest, files: Array.from({ length: count }, () => file) }
      : {
          ...manifest,
          variants: [{ ...variant, taps: Array.from({ length: count }, () => tap) }],
        };
  expect(checkManifest(repeated)).toMatchObject({
    kind: 'not-a-manifest',
    detail: expect.stringContaining('must NOT have more than') as unknown,
  });
});
