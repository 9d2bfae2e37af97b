// Which manifest opens a model: the newest that can be had, checked unless this very build has checked this very text.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { ByteSource } from '../../apps/web/src/bundle/sources/byte_source';
import { latestManifest, type LatestManifest } from '../../apps/web/src/bundle/latest_manifest';
import type { KeptManifest } from '../../apps/web/src/bundle/storage/model_cache';
import { retryPolicy } from '../../apps/web/src/bundle/download/retry_policy';

const valid = readFileSync(
  new URL('../../contracts/examples/valid/manifest__encoded.json', import.meta.url),
  'utf8',
);
const invalid = valid.replace('"variants"', '"no_variants"');

/** What the address gives; null where it can't be asked. */
function open(text: string | null, kept: KeptManifest | null): Promise<LatestManifest> {
  const source: ByteSource = {
    locate: (path) => `memory:${path}`,
    open: () =>
      text === null
        ? Promise.reject(new Error('no network'))
        : Promise.resolve({
            chunks: new Blob([text]).stream(),
            start: 0,
            isHtml: false,
          }),
  };
  const modelCache = { manifestOf: () => Promise.resolve(kept) };
  const { signal } = new AbortController();
  return latestManifest(source, 'manifest.json', modelCache, retryPolicy, signal);
}

test('a text that this build has checked is not checked again, any other is', async () => {
  // It could not be opened if it were looked at.
  const checked = { text: invalid, openedAt: 1, isChecked: true };
  expect(await open(invalid, checked)).toMatchObject({ text: invalid, keptSince: null });
  expect(await open(null, checked)).toMatchObject({ text: invalid, keptSince: 1 });
  await expect(open(invalid, { ...checked, isChecked: false })).rejects.toThrow('not-a-manifest');
  await expect(open(null, { ...checked, isChecked: false })).rejects.toThrow('not-a-manifest');
  await expect(open(invalid, null)).rejects.toThrow('not-a-manifest');
});

test('what its address gives goes before what is kept, unless it is no manifest', async () => {
  const kept = { text: valid, openedAt: 1, isChecked: true };
  const newer = `${valid}\n`;
  expect(await open(newer, kept)).toMatchObject({ text: newer, keptSince: null });
  expect(await open(invalid, kept)).toMatchObject({ text: valid, keptSince: 1 });
});
