// The compiled validator against the contract's own examples, and the rules that no schema can say.
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { checkDocument } from '../../apps/web/src/contract/validate_document';
import { checkLesson } from '../../apps/web/src/contract/validate_lesson';
import { editsFromJson } from '../../apps/web/src/inference/edit_json';
import { EditError } from '../../apps/web/src/inference/edits';
import { checkManifest } from '../../apps/web/src/contract/validate_manifest';

const examples = new URL('../../contracts/examples/', import.meta.url);

function read(path: string): Record<string, unknown> {
  return JSON.parse(readFileSync(new URL(path, examples), 'utf8')) as Record<string, unknown>;
}

/** One row of invalid.json, which says how it is read. */
interface Change {
  readonly name: string;
  readonly of: string;
  readonly path: string;
  readonly value?: unknown;
  readonly repeat?: readonly [part: string | readonly unknown[], times: number];
  readonly keyword?: string;
}

const changes = read('invalid.json')['changes'] as readonly Change[];

/** Return the verdict on a document of one of the schemas. */
function check(name: string, document: unknown): { readonly kind: string; detail?: string } {
  if (name.startsWith('edits__')) return checkEdits(document);
  if (name.startsWith('lesson__')) return checkLessonDocument(document);
  return name.startsWith('manifest__') ? checkManifest(document) : checkDocument(document);
}

function checkLessonDocument(document: unknown): { readonly kind: string; detail?: string } {
  const verdict = checkLesson(document);
  if (verdict.kind === 'lesson') return { kind: 'document' };
  return verdict.kind === 'lesson-version' ? { kind: verdict.kind, detail: verdict.got } : verdict;
}

function checkEdits(document: unknown): { readonly kind: string; detail?: string } {
  try {
    editsFromJson(document);
    return { kind: 'document' };
  } catch (error) {
    expect(error).toBeInstanceOf(EditError);
    return { kind: 'not-a-list-of-edits', detail: (error as EditError).message };
  }
}

function valueOf({ value, repeat }: Change): unknown {
  if (repeat === undefined) return value;
  const [part, times] = repeat;
  return typeof part === 'string' ? part.repeat(times) : Array(times).fill(part).flat();
}

function changed(change: Change): unknown {
  if (change.path === '') return valueOf(change);
  const document = read(`valid/${change.of}.json`);
  const keys = change.path.split('/').slice(1);
  const last = keys.pop() ?? '';
  let place: Record<string, unknown> = document;
  for (const key of keys) place = place[key] as Record<string, unknown>;
  const isRemoved = !('value' in change) && change.repeat === undefined;
  if (Array.isArray(place)) {
    const at = last === '-' ? place.length : Number(last);
    place.splice(at, 1, ...(isRemoved ? [] : [valueOf(change)]));
  } else if (isRemoved) Reflect.deleteProperty(place, last);
  else place[last] = valueOf(change);
  return document;
}

const whole = 'valid/manifest__whole.json';

describe('the contract’s examples', () => {
  test.each(readdirSync(new URL('valid/', examples)))('%s is accepted', (name) => {
    const kind = name.startsWith('manifest__') ? 'manifest' : 'document';
    expect(check(name, read(`valid/${name}`))).toMatchObject({ kind });
  });

  test.each(changes.filter(({ keyword }) => keyword !== undefined))(
    'what the schema refuses: $of, $name',
    (change) => {
      expect(check(change.of, changed(change)).kind).not.toMatch(/^(manifest|document)$/);
    },
  );

  test.each(changes.filter(({ keyword }) => keyword === undefined))(
    'what no schema can refuse: $of, $name',
    (change) => {
      expect(check(change.of, changed(change))).toMatchObject({
        kind: expect.stringMatching(/^not-a-/) as unknown,
        detail: expect.stringContaining(
          change.path.startsWith('/variants/1/expansion/w') ? 'q4: ' : '',
        ) as unknown,
      });
    },
  );
});

test.each([null, 3, 'manifest', [], {}])('%j is not a manifest', (json) => {
  expect(checkManifest(json).kind).toBe('not-a-manifest');
});

test.each([
  ['contract_version', '0.9'],
  ['contract_version', '3.0'],
  ['manifest_version', '10.0'],
])('another major in %s (%s) is told apart from a broken file', (field, version) => {
  // What else such a file holds is no matter: here, nothing that we know.
  expect(checkManifest({ [field]: version, files: 'elsewhere' })).toEqual({
    kind: 'contract-version',
    got: version,
    supported: '1.x, 2.x',
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

test('a refusal says where', () => {
  expect(checkManifest({ ...read(whole), files: [{}] })).toMatchObject({
    kind: 'not-a-manifest',
    detail: expect.stringContaining('/files/0') as unknown,
  });
});
