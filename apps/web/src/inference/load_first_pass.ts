// Fetches the example that the publisher computed, before any weights. Its checks: read_first_pass.ts.
import limits from '../../../../contracts/limits.json' with { type: 'json' };
import { BundleError } from '../bundle/bundle_error';
import type { ByteSource } from '../bundle/byte_source';
import { forgetful } from '../bundle/chunk_store';
import { downloadFiles, fileOf } from '../bundle/download';
import { patience } from '../bundle/patience';
import { findBundle } from './find_bundle';
import { digestsOf, type EarlyStart } from './load_model';
import type { FirstPass, OpenRequest } from './model_types';
import { readFirstPass } from './read_first_pass';

/** The longest that weights wait until the example is requested: another tab may be fetching it. */
const headStartMs = 200;

/** Fetch the example; null where there is none. Rejects with a BundleError; the model itself opens all the same. */
export async function loadFirstPass(
  request: OpenRequest,
  baseUrl: string,
  early: EarlyStart,
): Promise<FirstPass | null> {
  let asked = (): void => undefined;
  early.examples.set(request.url, new Promise((resolve) => (asked = resolve)));
  setTimeout(asked, headStartMs);
  try {
    return await load(request, baseUrl, early, asked);
  } finally {
    asked();
  }
}

async function load(
  request: OpenRequest,
  baseUrl: string,
  early: EarlyStart,
  onAsked: () => void,
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
  // Models from a dropped folder are not cached.
  const shelf = latest === null ? null : await early.shelf;
  if (latest !== null) shelf?.remember(latest.url, latest.text, manifest, digestsOf([descriptor]));
  const { signal } = new AbortController();
  const means = { store: shelf?.chunks ?? forgetful, patience, signal };
  const telling: ByteSource = {
    locate: (path) => source.locate(path),
    open: (...wish) => {
      const stream = source.open(...wish);
      onAsked();
      return stream;
    },
  };
  const { files } = await downloadFiles(telling, [descriptor], new Map(), means, () => undefined);
  return readFirstPass(fileOf(files, descriptor.path), manifest);
}
