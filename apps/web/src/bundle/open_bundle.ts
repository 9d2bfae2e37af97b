// Finds a bundle at an address or among the visitor's own files, by its manifest, or a graph without one. bundle_url.ts
// reads addresses; bare_model.ts, graphs without a manifest.
import type { Manifest, Variant } from '../contract/generated';
import { readBareModel, type BareModel } from './onnx/bare_model';
import { BundleError } from './bundle_error';
import { fileName, type BundleAddress } from './address/bundle_url';
import type { ByteSource } from './sources/byte_source';
import { filesToOpen } from './download/download';
import type { FileByteSource } from './sources/file_source';
import { type LocalModel } from './sources/file_source';
import { latestManifest, type LatestManifest } from './latest_manifest';
import type { ModelCache } from './storage/model_cache';
import type { RetryContext } from './download/with_retries';
import { parseManifest, readManifestText } from './read_manifest';

export interface FoundBundle {
  readonly manifest: Manifest;
  /** null where a manifest was read. */
  readonly bare: BareModel | null;
  /** The manifest from its address or the stored copy; null for local files and for graphs without a manifest. */
  readonly latest: (LatestManifest & { readonly url: string }) | null;
}

/** Maximum number of missing files that a message names. */
const namedFiles = 6;

/** Find a bundle. Rejects with a BundleError. A graph is read by itself only where no manifest lies beside it. */
export async function findAtAddress(
  source: ByteSource,
  { manifestUrl, graphName }: BundleAddress,
  { modelCache, ...context }: RetryContext & { readonly modelCache: Promise<ModelCache | null> },
  onBytes: (received: number) => void,
): Promise<FoundBundle> {
  try {
    const name = fileName(manifestUrl);
    const { retryPolicy, signal } = context;
    const latest = await latestManifest(source, name, await modelCache, retryPolicy, signal);
    return { manifest: latest.manifest, bare: null, latest: { ...latest, url: manifestUrl.href } };
  } catch (error) {
    if (graphName === null || !isAbsent(error)) throw error;
    return readBareModel(source, graphName, context, onBytes).then(asFound, (failure: unknown) => {
      // If both are missing, report the missing manifest.
      throw isAbsent(failure) ? error : failure;
    });
  }
}

/** Find a bundle among local files, without variants that lack files. Rejects with the missing names if all do. */
export async function findAmongFiles(
  source: FileByteSource,
  { entry }: LocalModel,
  context: RetryContext,
): Promise<FoundBundle> {
  if (entry.toLowerCase().endsWith('.onnx')) {
    return asFound(
      await requireData(
        source,
        readBareModel(source, entry, context, () => undefined),
      ),
    );
  }
  const text = await readManifestText(source, entry, context.signal, () => undefined);
  const manifest = parseManifest(text, entry);
  const complete = manifest.variants.filter(
    (variant) => missingFiles(source, manifest, variant).length === 0,
  );
  if (complete.length > 0) {
    return { manifest: { ...manifest, variants: complete }, bare: null, latest: null };
  }
  const [fewest = []] = manifest.variants
    .map((variant) => missingFiles(source, manifest, variant))
    .sort((a, b) => a.length - b.length);
  throw missing(fewest);
}

function asFound(bare: BareModel): FoundBundle {
  return { manifest: bare.manifest, bare, latest: null };
}

/** Check that all weight files are there before any is opened, so that one message names all that are missing. */
async function requireData(
  source: FileByteSource,
  reading: Promise<BareModel>,
): Promise<BareModel> {
  const bare = await reading;
  const absent = bare.data.map(({ path }) => path).filter((path) => !source.has(path));
  if (absent.length > 0) throw missing(absent);
  return bare;
}

function missingFiles(source: FileByteSource, manifest: Manifest, variant: Variant): string[] {
  const paths = filesToOpen(manifest, variant).flatMap((file) =>
    (file.chunks ?? [file]).map(({ path }) => path),
  );
  return [...new Set(paths)].filter((path) => !source.has(path));
}

function missing(paths: readonly string[]): BundleError {
  const names = paths.slice(0, namedFiles);
  return new BundleError({ kind: 'files-missing', names, count: paths.length });
}

/**
 * Return whether an error means that there is no file: servers answer 404, some without the right to list 403,
 * others send their start page, and many leave CORS headers out of such answers. A damaged or unreachable
 * manifest is not absent: reading the graph alone would silently skip the verification of its digest.
 */
function isAbsent(error: unknown): boolean {
  if (!(error instanceof BundleError)) return false;
  const { data } = error;
  if (data.kind === 'not-a-manifest') return data.isHtml === true;
  return data.kind === 'not-found' || data.kind === 'no-cors';
}
