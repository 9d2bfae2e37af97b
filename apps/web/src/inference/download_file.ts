// Downloads one more file of an open bundle: an example, a lens pack, a dictionary, a reference pass.
import type { FoundBundle } from '../bundle/open_bundle';
import { downloadFiles, fileOf } from '../bundle/download/download';
import type { DownloadState } from '../bundle/download/download_progress';
import { retryPolicy } from '../bundle/download/retry_policy';
import type { ByteSource } from '../bundle/sources/byte_source';
import { noStore } from '../bundle/storage/chunk_store';
import type { FileDescriptor, Manifest } from '../contract/generated';
import { digestsOf, type EarlyStart } from './load_model';

/** Receives a download's progress, and aborts it. */
export interface Following {
  readonly signal: AbortSignal;
  readonly onProgress: (state: DownloadState) => void;
}

const unfollowed: Following = {
  signal: new AbortController().signal,
  onProgress: () => undefined,
};

/** Download a file and keep it with its model for the next visit. Rejects with a BundleError. */
export async function downloadFile(
  { source, latest }: { readonly source: ByteSource; readonly latest: FoundBundle['latest'] },
  manifest: Manifest,
  descriptor: FileDescriptor,
  early: EarlyStart,
  { signal, onProgress }: Following = unfollowed,
): Promise<Uint8Array<ArrayBuffer>> {
  // Models from a dropped folder are not cached.
  const modelCache = latest === null ? null : await early.modelCache;
  if (latest !== null)
    modelCache?.remember(latest.url, latest.text, manifest, digestsOf([descriptor]));
  const context = { store: modelCache?.chunks ?? noStore, retryPolicy, signal };
  const { files } = await downloadFiles(source, [descriptor], new Set(), context, onProgress);
  return fileOf(files, descriptor.path);
}
