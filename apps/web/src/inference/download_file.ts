// Downloads one more file of an open bundle: an example, a lens pack, a reference pass.
import type { FoundBundle } from '../bundle/open_bundle';
import { downloadFiles, fileOf } from '../bundle/download/download';
import { retryPolicy } from '../bundle/download/retry_policy';
import type { ByteSource } from '../bundle/sources/byte_source';
import { noStore } from '../bundle/storage/chunk_store';
import type { FileDescriptor, Manifest } from '../contract/generated';
import { digestsOf, type EarlyStart } from './load_model';

/** Download a file and keep it with its model for the next visit. Rejects with a BundleError. */
export async function downloadFile(
  { source, latest }: { readonly source: ByteSource; readonly latest: FoundBundle['latest'] },
  manifest: Manifest,
  descriptor: FileDescriptor,
  early: EarlyStart,
): Promise<Uint8Array<ArrayBuffer>> {
  // Models from a dropped folder are not cached.
  const modelCache = latest === null ? null : await early.modelCache;
  if (latest !== null)
    modelCache?.remember(latest.url, latest.text, manifest, digestsOf([descriptor]));
  const { signal } = new AbortController();
  const context = { store: modelCache?.chunks ?? noStore, retryPolicy, signal };
  const { files } = await downloadFiles(source, [descriptor], new Set(), context, () => undefined);
  return fileOf(files, descriptor.path);
}
