// All files that opening a variant takes, at once, with one count of bytes. Single files are read_file.ts.
import type { Expansion, FileDescriptor, Manifest, Variant } from '../contract/generated';
import { BundleError } from './bundle_error';
import type { ByteSource } from './byte_source';
import { expandFile } from './expand_file';
import { readFile } from './read_file';

/** By path; weights that were expanded lie under the path that the graphs know, not under the one they travelled as. */
export type BundleFiles = ReadonlyMap<string, Uint8Array<ArrayBuffer>>;

export interface Download {
  readonly files: BundleFiles;
  /** Spent on expanding weights. */
  readonly expandMs: number;
}

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

/** Paths of the files that the graphs of a variant read their weights from. */
export function weightFiles({ weights, expansion }: Variant): string[] {
  return expansion === undefined ? weights : [expansion.path];
}

/** By the path of the file that travels. */
export function expansionsOf({ weights, expansion }: Variant): ReadonlyMap<string, Expansion> {
  return new Map(expansion === undefined ? [] : weights.map((path) => [path, expansion]));
}

/**
 * Files that have an expansion are expanded while they arrive. Rejects with the first BundleError, and then
 * stops what is still on its way.
 */
export async function downloadFiles(
  source: ByteSource,
  descriptors: readonly FileDescriptor[],
  expansions: ReadonlyMap<string, Expansion>,
  signal: AbortSignal,
  onProgress: (receivedBytes: number, totalBytes: number) => void,
): Promise<Download> {
  const total = descriptors.reduce((sum, { bytes }) => sum + bytes, 0);
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  let received = 0;
  let expandMs = 0;
  const count = (bytes: number): void => {
    received += bytes;
    onProgress(received, total);
  };
  onProgress(0, total);
  try {
    const entries = await Promise.all(
      descriptors.map(async (descriptor) => {
        const { path } = descriptor;
        const expansion = expansions.get(path);
        if (expansion === undefined) {
          return [path, await readFile(source, descriptor, either, count)] as const;
        }
        const expanded = await expandFile(source, descriptor, expansion, either, count);
        expandMs += expanded.expandMs;
        return [expansion.path, expanded.bytes] as const;
      }),
    );
    return { files: new Map(entries), expandMs };
  } catch (error) {
    stop.abort();
    throw error;
  }
}

/** A file that `filesToOpen` or `weightFiles` named; the manifest's check has made sure that it is listed. */
export function fileOf(files: BundleFiles, path: string): Uint8Array<ArrayBuffer> {
  const bytes = files.get(path);
  if (bytes === undefined) {
    throw new BundleError({ kind: 'integrity', path, expected: 'a file', got: 'none' });
  }
  return bytes;
}
