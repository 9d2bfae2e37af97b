// Fetches what the publisher computed beforehand, before any weights. What may be in it: read_first_pass.ts.
import limits from '../../../../contracts/limits.json' with { type: 'json' };
import { BundleError } from '../bundle/bundle_error';
import { forgetful } from '../bundle/chunk_store';
import { downloadFiles, fileOf } from '../bundle/download';
import { patience } from '../bundle/patience';
import { findBundle } from './find_bundle';
import { digestsOf, type EarlyStart } from './load_model';
import type { FirstPass, OpenRequest } from './model_types';
import { readFirstPass } from './read_first_pass';

/** null where there is none. Rejects with a BundleError; the model itself opens all the same. */
export async function loadFirstPass(
  request: OpenRequest,
  baseUrl: string,
  early: EarlyStart,
): Promise<FirstPass | null> {
  const { source, found } = findBundle(request, baseUrl, early);
  const { manifest, latest } = await found;
  const path = manifest.first_pass?.path;
  const descriptor = manifest.files.find((file) => file.path === path);
  if (descriptor === undefined) return null;
  const { bytes } = descriptor;
  const limit = limits.first_pass.bytes;
  if (bytes > limit)
    throw new BundleError({ kind: 'too-large', path: descriptor.path, bytes, limit });
  // Of a folder that was dropped here there is nothing to keep.
  const shelf = latest === null ? null : await early.shelf;
  if (latest !== null)
    await shelf?.remember(latest.url, latest.text, manifest, digestsOf([descriptor]));
  const { signal } = new AbortController();
  const means = { store: shelf?.chunks ?? forgetful, patience, signal };
  const { files } = await downloadFiles(source, [descriptor], new Map(), means, () => undefined);
  return readFirstPass(fileOf(files, descriptor.path), manifest);
}
