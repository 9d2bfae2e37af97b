// Finds the variants that need no network. Cached models: bundle/storage/model_cache.ts; missing files: reach_model.ts.
import { filesToOpen } from '../bundle/download/download';
import type { FileDescriptor, Manifest, Variant } from '../contract/generated';
import type { EarlyStart } from './load_model';
import type { OpenRequest } from './model_types';

/** Return the names of the variants whose every piece is among `digests`. */
export function keptVariants(manifest: Manifest, digests: ReadonlySet<string>): Set<string> {
  const kept = manifest.variants.filter(
    (variant) => missingPieces(manifest, variant, digests).length === 0,
  );
  return new Set(kept.map(({ name }) => name));
}

/** Return the same for the model that a request names; all variants for the visitor's own files. Never rejects. */
export async function findKeptVariants(
  request: OpenRequest,
  manifest: Manifest,
  early: Pick<EarlyStart, 'modelCache'>,
): Promise<ReadonlySet<string>> {
  if (request.local !== undefined) return new Set(manifest.variants.map(({ name }) => name));
  try {
    return keptVariants(manifest, (await (await early.modelCache)?.digests()) ?? new Set());
  } catch {
    return new Set();
  }
}

/** Return the pieces that opening the variant takes and that are not among `digests`. */
export function missingPieces(
  manifest: Manifest,
  variant: Variant,
  digests: ReadonlySet<string>,
): Pick<FileDescriptor, 'path' | 'bytes' | 'digest'>[] {
  return filesToOpen(manifest, variant)
    .flatMap((file): Pick<FileDescriptor, 'path' | 'bytes' | 'digest'>[] => file.chunks ?? [file])
    .filter(({ digest }) => !digests.has(digest));
}
