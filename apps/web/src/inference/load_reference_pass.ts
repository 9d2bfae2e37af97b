// Downloads the reference pass of a variant once the model is open. read_reference_pass.ts checks it.
import limits from '../../../../contracts/limits.json' with { type: 'json' };
import { BundleError } from '../bundle/bundle_error';
import type { Manifest, Variant } from '../contract/generated';
import { downloadFile } from './download_file';
import { findBundle } from './find_bundle';
import type { EarlyStart } from './load_model';
import type { OpenRequest } from './model_types';
import { readReferencePass, type ReferencePass } from './read_reference_pass';

/** Download the pass; null if the bundle has none for this variant. Rejects with a BundleError. */
export async function loadReferencePass(
  request: OpenRequest,
  { manifest, variant }: { readonly manifest: Manifest; readonly variant: Variant },
  baseUrl: string,
  early: EarlyStart,
): Promise<ReferencePass | null> {
  const record = variant.reference_pass;
  const descriptor = manifest.files.find(({ path }) => path === record?.path);
  if (record === undefined || descriptor === undefined) return null;
  const { path, bytes } = descriptor;
  const limit = limits.reference_pass.bytes;
  if (bytes > limit) throw new BundleError({ kind: 'too-large', path, bytes, limit });
  const { source, found } = findBundle(request, baseUrl, early);
  const { latest } = await found;
  const content = await downloadFile({ source, latest }, manifest, descriptor, early);
  return readReferencePass(content, record, manifest.model.shape);
}
