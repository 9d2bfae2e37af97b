// Fetches the example that the publisher computed, before any weights. Its checks: read_first_pass.ts.
import limits from '../../../../contracts/limits.json' with { type: 'json' };
import { BundleError } from '../bundle/bundle_error';
import type { ByteSource } from '../bundle/sources/byte_source';
import { downloadFile } from './download_file';
import { findBundle } from './find_bundle';
import type { EarlyStart } from './load_model';
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
  const telling: ByteSource = {
    locate: (path) => source.locate(path),
    open: (...options) => {
      const stream = source.open(...options);
      onAsked();
      return stream;
    },
  };
  return readFirstPass(
    await downloadFile({ source: telling, latest }, manifest, descriptor, early),
    manifest,
  );
}
