// The compiled validator against the contract's own examples, and the rules that no schema can say.
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { checkManifest } from '../../apps/web/src/contract/validate_manifest';

const examples = new URL('../../contracts/examples/', import.meta.url);

function read(path: string): Record<string, unknown> {
  return JSON.parse(readFileSync(new URL(path, examples), 'utf8')) as Record<string, unknown>;
}

function manifestExamples(folder: string): string[] {
  return readdirSync(new URL(folder, examples))
    .filter((name) => name.startsWith('manifest__'))
    .map((name) => `${folder}${name}`);
}

const whole = 'valid/manifest__whole.json';

describe('the contract’s examples', () => {
  test.each(manifestExamples('valid/'))('%s is accepted', (path) => {
    expect(checkManifest(read(path))).toMatchObject({ kind: 'manifest' });
  });

  test.each(manifestExamples('invalid/'))('%s is refused', (path) => {
    expect(checkManifest(read(path)).kind).not.toBe('manifest');
  });
});

test.each([null, 3, 'manifest', [], {}])('%j is not a manifest', (json) => {
  expect(checkManifest(json).kind).toBe('not-a-manifest');
});

test.each([
  ['contract_version', '0.9'],
  ['contract_version', '2.0'],
  ['manifest_version', '10.0'],
])('another major in %s (%s) is told apart from a broken file', (field, version) => {
  // What else such a file holds is no matter: here, nothing that we know.
  expect(checkManifest({ [field]: version, files: 'elsewhere' })).toEqual({
    kind: 'contract-version',
    got: version,
    supported: '1.x',
  });
});

test('a version that is no version says nothing about majors', () => {
  const verdict = checkManifest({ ...read(whole), contract_version: 'newest' });
  expect(verdict.kind).not.toBe('manifest');
});

test('a file that is used must be listed', () => {
  const manifest = read(whole) as { files: { path: string }[] };
  for (const { path } of manifest.files) {
    const files = manifest.files.filter((file) => file.path !== path);
    expect(checkManifest({ ...manifest, files })).toEqual({
      kind: 'not-a-manifest',
      detail: `${path} is used but not listed in files`,
    });
  }
});

interface Change {
  readonly why: string;
  readonly of?: string;
  readonly path: string;
  readonly value: unknown;
}

const unsound = read('unsound.json') as { of: string; changes: readonly Change[] };

test.each(unsound.changes)('what no schema can refuse: $why', ({ of, path, value }) => {
  const manifest = read(`valid/${of ?? unsound.of}`);
  const keys = path.split('/').slice(1);
  const last = keys.pop() ?? '';
  let place: Record<string, unknown> = manifest;
  for (const key of keys) place = place[key] as Record<string, unknown>;
  if (value === null) Reflect.deleteProperty(place, last);
  else place[last] = value;
  expect(checkManifest(manifest)).toMatchObject({
    kind: 'not-a-manifest',
    detail: expect.stringContaining(
      path.startsWith('/variants/1/expansion/w') ? 'q4: ' : '',
    ) as unknown,
  });
});

test('a refusal says where', () => {
  expect(checkManifest({ ...read(whole), files: [{}] })).toMatchObject({
    kind: 'not-a-manifest',
    detail: expect.stringContaining('/files/0') as unknown,
  });
});
