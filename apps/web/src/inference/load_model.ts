// From an address to verified files and a running runtime, all fetched as early as can be. Sessions: model_runner.ts.
import { bundleAddress, fileName } from '../bundle/bundle_url';
import { HttpByteSource } from '../bundle/byte_source';
import { downloadFiles, fileOf, filesToOpen, type BundleFiles } from '../bundle/download';
import { readManifest } from '../bundle/read_manifest';
import type { Manifest, Variant } from '../contract/generated';
import { TextTokenizer } from '../tokenizer/text_tokenizer';
import { reportDownload } from './download_reports';
import { messageOf, ModelError } from './model_error';
import type { OpenRequest, Progress, RuntimeFacts } from './model_types';
import { askGpu, chooseForModel, chooseWithoutModel, type GpuAnswer } from './provider';
import { loadRuntime, type Runtime } from './runtime';

export interface LoadedModel {
  readonly manifest: Manifest;
  readonly variant: Variant;
  readonly files: BundleFiles;
  readonly runtime: Runtime;
  readonly facts: RuntimeFacts;
  /** null where the bundle has none: the page then takes token ids. */
  readonly tokenizer: TextTokenizer | null;
  readonly timings: { downloadMs: number; downloadedBytes: number };
}

/** What can be asked and fetched before any model is named. */
export interface EarlyStart {
  readonly gpu: Promise<GpuAnswer>;
  /** wasm's, where there is no GPU that could be chosen instead; else null. */
  readonly runtime: Promise<Runtime | null>;
}

export function startEarly(): EarlyStart {
  const gpu = askGpu();
  const runtime = gpu.then(({ adapter }) => (adapter === null ? loadRuntime('wasm') : null));
  // Whoever opens a model hears of it; until then nobody listens.
  runtime.catch(() => undefined);
  return { gpu, runtime };
}

/** Rejects with a BundleError or a ModelError. Relative addresses are taken from `baseUrl`. */
export async function loadModel(
  request: OpenRequest,
  baseUrl: string,
  early: EarlyStart,
  onProgress: (progress: Progress) => void,
): Promise<LoadedModel> {
  onProgress({ phase: 'manifest', receivedBytes: 0, totalBytes: 0 });
  const stop = new AbortController();
  try {
    const { manifestUrl, graphName } = bundleAddress(request.url, baseUrl);
    const source = new HttpByteSource(manifestUrl);
    const manifestArriving = readManifest(source, stop.signal, fileName(manifestUrl));
    const runtimeArriving = startRuntime(request, early, manifestArriving);
    const filesArriving = manifestArriving.then(async (manifest) => {
      const variant = findVariant(manifest, request.variant, graphName);
      const began = performance.now();
      const descriptors = filesToOpen(manifest, variant);
      const report = reportDownload(onProgress);
      const files = await downloadFiles(source, descriptors, stop.signal, report);
      const downloadMs = performance.now() - began;
      // The last phase that may be waited for before the session is made.
      onProgress({ phase: 'runtime', receivedBytes: 0, totalBytes: 0 });
      const downloadedBytes = descriptors.reduce((sum, { bytes }) => sum + bytes, 0);
      return { manifest, variant, files, timings: { downloadMs, downloadedBytes } };
    });
    const [bundle, { runtime, facts }] = await Promise.all([filesArriving, runtimeArriving]);
    return { ...bundle, runtime, facts, tokenizer: openTokenizer(bundle.manifest, bundle.files) };
  } catch (error) {
    // Whatever failed first, the rest is for nothing.
    stop.abort();
    throw error;
  }
}

/** Waits for the manifest only where the model's size decides. */
async function startRuntime(
  request: OpenRequest,
  early: EarlyStart,
  manifestArriving: Promise<Manifest>,
): Promise<{ runtime: Runtime; facts: RuntimeFacts }> {
  const gpu = await early.gpu;
  const { provider, reason } =
    chooseWithoutModel(request.provider, gpu) ??
    chooseForModel((await manifestArriving).model.parameters);
  const started = provider === 'wasm' ? await early.runtime : null;
  const runtime = started ?? (await loadRuntime(provider));
  return {
    runtime,
    facts: {
      provider,
      reason,
      threads: runtime.threads,
      crossOriginIsolated: globalThis.crossOriginIsolated,
      adapter: gpu.adapter,
      runtimeVersion: runtime.version,
    },
  };
}

/** The variant asked for, else the one whose graph the address named, else the first. */
function findVariant(
  { variants }: Manifest,
  name: string | undefined,
  graphName: string | null,
): Variant {
  const named = variants.find((variant) => variant.name === name);
  if (named !== undefined) return named;
  const ofGraph = variants.find(
    ({ plain, interactive }) => plain.path === graphName || interactive.path === graphName,
  );
  const variant = ofGraph ?? variants[0];
  if (name !== undefined || variant === undefined) {
    const known = variants.map((known) => known.name);
    throw new ModelError({ kind: 'unknown-variant', got: name ?? '', known });
  }
  return variant;
}

function openTokenizer(manifest: Manifest, files: BundleFiles): TextTokenizer | null {
  if (manifest.tokenizer === undefined) return null;
  const { tokenizer, config } = manifest.tokenizer;
  try {
    return new TextTokenizer(fileOf(files, tokenizer), fileOf(files, config));
  } catch (cause) {
    throw new ModelError(
      { kind: 'session', detail: `${tokenizer}: ${messageOf(cause)}` },
      { cause },
    );
  }
}
