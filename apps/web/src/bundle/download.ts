// All files that opening a variant takes, at once, with one count of bytes. Single files are read_file.ts.
import type { FileDescriptor, Manifest, Variant } from '../contract/generated';
import { BundleError } from './bundle_error';
import type { ByteSource } from './byte_source';
import { readFile } from './read_file';

export type BundleFiles = ReadonlyMap<string, Uint8Array<ArrayBuffer>>;

/** The interactive graph reads the plain graph's weights, so the plain graph itself is not needed. */
export function filesToOpen(manifest: Manifest, variant: Variant): FileDescriptor[] {
  const { tokenizer } = manifest;
  const paths = new Set([
    variant.interactive.path,
    ...variant.weights,
    ...(tokenizer ? [tokenizer.tokenizer, tokenizer.config] : []),
  ]);
  return manifest.files.filter(({ path }) => paths.has(path));
}

/** Rejects with the first BundleError, and then stops what is still on its way. */
export async function downloadFiles(
  source: ByteSource,
  descriptors: readonly FileDescriptor[],
  signal: AbortSignal,
  onProgress: (receivedBytes: number, totalBytes: number) => void,
): Promise<BundleFiles> {
  const total = descriptors.reduce((sum, { bytes }) => sum + bytes, 0);
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  let received = 0;
  onProgress(0, total);
  try {
    const entries = await Promise.all(
      descriptors.map(async (descriptor) => {
        const bytes = await readFile(source, descriptor, either, (count) => {
          received += count;
          onProgress(received, total);
        });
        return [descriptor.path, bytes] as const;
      }),
    );
    return new Map(entries);
  } catch (error) {
    stop.abort();
    throw error;
  }
}

/** A file that `filesToOpen` named; the manifest's check has made sure that it is listed. */
export function fileOf(files: BundleFiles, path: string): Uint8Array<ArrayBuffer> {
  const bytes = files.get(path);
  if (bytes === undefined) {
    throw new BundleError({ kind: 'integrity', path, expected: 'a file', got: 'none' });
  }
  return bytes;
}
