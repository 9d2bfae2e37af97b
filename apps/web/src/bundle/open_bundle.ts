// What lies at an address, or among the visitor's own files: a bundle by its manifest, or a bare graph. Addresses are
// bundle_url.ts; what a bare graph tells, bare_model.ts.
import type { Manifest, Variant } from '../contract/generated';
import { readBareModel, type BareModel } from './bare_model';
import { BundleError } from './bundle_error';
import { fileName, type BundleAddress } from './bundle_url';
import type { ByteSource } from './byte_source';
import { filesToOpen } from './download';
import type { FileByteSource } from './file_source';
import { type LocalModel } from './file_source';
import { latestManifest, type LatestManifest } from './latest_manifest';
import type { ModelShelf } from './model_shelf';
import type { Persistence } from './read_unproven';
import { parseManifest, readManifestText } from './read_manifest';

export interface FoundBundle {
  readonly manifest: Manifest;
  /** null where a manifest was read. */
  readonly bare: BareModel | null;
  /** As it came from its address; null for what has none, or no manifest. */
  readonly latest: (LatestManifest & { readonly url: string }) | null;
}

/** How many missing files a message names. */
const namedFiles = 6;

/** Rejects with a BundleError. A graph is read by itself only where no manifest lies beside it. */
export async function findAtAddress(
  source: ByteSource,
  { manifestUrl, graphName }: BundleAddress,
  { shelf, ...means }: Persistence & { readonly shelf: Promise<ModelShelf | null> },
  onBytes: (received: number) => void,
): Promise<FoundBundle> {
  try {
    const name = fileName(manifestUrl);
    const { patience, signal } = means;
    const latest = await latestManifest(source, name, await shelf, patience, signal);
    return { manifest: latest.manifest, bare: null, latest: { ...latest, url: manifestUrl.href } };
  } catch (error) {
    if (graphName === null || !isAbsent(error)) throw error;
    return readBareModel(source, graphName, means, onBytes).then(asFound, (failure: unknown) => {
      // Where there is neither, the manifest is what should be there.
      throw isAbsent(failure) ? error : failure;
    });
  }
}

/** The same among files that are here. Variants that lack files are left out; where all do, rejects with their names. */
export async function findAmongFiles(
  source: FileByteSource,
  { entry }: LocalModel,
  means: Persistence,
): Promise<FoundBundle> {
  if (entry.toLowerCase().endsWith('.onnx')) {
    return asFound(
      await requireData(
        source,
        readBareModel(source, entry, means, () => undefined),
      ),
    );
  }
  const text = await readManifestText(source, entry, means.signal, () => undefined);
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

/** Before anything is opened, so that one message names all that is missing. */
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
 * Nothing is there: a server says so, some without rights to list say 403, others send their start page,
 * and many leave CORS headers out of such answers. A damaged manifest is not absent, and neither is one
 * that could not be reached: reading the graph alone would give up its proof in silence.
 */
function isAbsent(error: unknown): boolean {
  if (!(error instanceof BundleError)) return false;
  const { data } = error;
  if (data.kind === 'not-a-manifest') return data.isHtml === true;
  return data.kind === 'not-found' || data.kind === 'no-cors';
}
