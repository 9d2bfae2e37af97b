// A model from one ONNX file without a manifest, a "bare graph". A manifest is made from the graph's own metadata,
// without the parts that only a published manifest has. onnx_model.ts reads the graph.
import {
  activationSpec,
  modelActivationNames,
  parseActivationName,
} from '../../contract/activation_table';
import type {
  ActivationsDocument,
  FileDescriptor,
  Manifest,
  ClassifierRecord,
  ModelRecord,
  ModelShape,
  Tap,
  Variant,
} from '../../contract/generated';
import { isBundlePath } from '../../contract/bundle_path';
import { oneLine } from '../../contract/one_line';
import { parseStrictJson } from '../../contract/strict_json';
import {
  checkDocument,
  documentKey,
  modelRecordKey,
  readModelRecord,
} from '../../contract/validate_document';
import { BundleError, type UnfitGraph } from '../bundle_error';
import type { ByteSource } from '../sources/byte_source';
import type { BundleFiles, Download } from '../download/download';
import type { DownloadState } from '../download/download_progress';
import { readOnnxModel, type OnnxModel } from './onnx_model';
import { maxFileBytes } from '../download/file_memory';
import { readStart, readUnproven } from '../download/read_unproven';
import type { RetryContext } from '../download/with_retries';
import { outputTap } from './tap_bytes';

export interface BareModel {
  /** A manifest with one variant. Its digests are empty and never compared. */
  readonly manifest: Manifest;
  /** Files that are read already: the graph, and the tokenizer's where there are any. */
  readonly files: BundleFiles;
  /** Files still to be read: the weights outside the graph. */
  readonly data: readonly { readonly path: string; readonly bytes: number }[];
}

/** File names that the exporter gives; the tokenizer belongs to a graph in the same folder. */
const tokenizerNames = { tokenizer: 'tokenizer.json', config: 'tokenizer_config.json' };
const maxTokenizerBytes = 128 * 2 ** 20;

/** Read a graph and its tokenizer. Rejects with a BundleError: `not-a-model` for a graph outside the contract. */
export async function readBareModel(
  source: ByteSource,
  path: string,
  context: RetryContext,
  onReceived: (bytes: number) => void,
): Promise<BareModel> {
  const [graph, tokenizer] = await Promise.all([
    readUnproven(source, path, context, onReceived),
    readTokenizer(source, context),
  ]);
  const model = readOnnxModel(graph, path);
  const document = documentOf(model, path);
  const data = externalFiles(model, path);
  const files = new Map([[path, graph], ...tokenizer]);
  const listed = [
    ...Array.from(files, ([name, { length }]) => ({ path: name, bytes: length })),
    ...data,
  ];
  return {
    manifest: {
      format: 'oriel-bundle',
      manifest_version: document.contract_version,
      contract_version: document.contract_version,
      model: recordOf(model, document, path),
      files: listed.map(describe),
      ...(tokenizer.size > 0 && { tokenizer: tokenizerNames }),
      variants: [
        variantOf(
          model,
          document,
          path,
          data.map((file) => file.path),
        ),
      ],
      exporter: { name: model.producer, version: '' },
    },
    files,
    data,
  };
}

/** Read the graph's external weights, and return them with the files read before. Rejects with a BundleError. */
export async function readBareFiles(
  source: ByteSource,
  { files, data }: BareModel,
  context: RetryContext,
  onProgress: (state: DownloadState) => void,
): Promise<Download> {
  const here = Array.from(files.values()).reduce((sum, { length }) => sum + length, 0);
  const totalBytes = data.reduce((sum, { bytes }) => sum + bytes, here);
  const received = new Map<string, number>();
  const tell = (): void => {
    const receivedBytes = Array.from(received.values()).reduce((sum, bytes) => sum + bytes, here);
    onProgress({ receivedBytes, totalBytes, keptBytes: 0, waiting: null });
  };
  tell();
  const read = await Promise.all(
    data.map(async ({ path, bytes }) => {
      const file = await readStart(source, path, bytes, context, (count) => {
        received.set(path, count);
        tell();
      });
      return [path, file] as const;
    }),
  );
  const weights = read.map(([path, held]) => {
    return [path, [{ digest: '', bytes: held.length, held }]] as const;
  });
  return { files, weights: new Map(weights), keptBytes: 0, isKept: false };
}

/** Return both files or none: a model without them takes token ids instead of text. */
async function readTokenizer(
  source: ByteSource,
  context: RetryContext,
): Promise<ReadonlyMap<string, Uint8Array<ArrayBuffer>>> {
  const read = async (name: string): Promise<readonly [string, Uint8Array<ArrayBuffer>]> => [
    name,
    await readUnproven(source, name, context, () => undefined, maxTokenizerBytes),
  ];
  try {
    const { tokenizer, config } = tokenizerNames;
    return new Map(await Promise.all([read(tokenizer), read(config)]));
  } catch (error) {
    // A missing tokenizer is no failure. A broken connection is one, since the page would else ask for ids in error.
    const isAbsent = error instanceof BundleError && kindsOfAbsence.has(error.kind);
    if (!isAbsent || context.signal.aborted) throw error;
    return new Map();
  }
}

const kindsOfAbsence = new Set<BundleError['kind']>(['not-found', 'files-missing', 'no-cors']);

function documentOf(model: OnnxModel, path: string): ActivationsDocument {
  const text = model.metadata.get(documentKey);
  if (text === undefined) {
    const by = model.producer === '' ? '' : `, by ${model.producer}`;
    throw unfit(path, 'no-contract', `opset ${model.opset}${by}`);
  }
  const verdict = checkDocument(parse(text));
  if (verdict.kind === 'contract-version') throw new BundleError(verdict);
  if (verdict.kind === 'not-a-document') throw unfit(path, 'bad-contract', verdict.detail);
  const { inputs, outputs } = verdict.document;
  const named = new Set(inputs.map(({ name }) => name));
  const given = new Set(model.outputs);
  const other =
    model.inputs.find((name) => !named.has(name)) ??
    inputs.find(({ name }) => !model.inputs.includes(name))?.name ??
    outputs.find(({ name }) => !given.has(name))?.name;
  if (other !== undefined) throw unfit(path, 'mismatch', other);
  return verdict.document;
}

/** List the files of weights outside the graph, each as long as its last weight needs. */
function externalFiles(model: OnnxModel, path: string): { path: string; bytes: number }[] {
  const ends = new Map<string, number>();
  for (const { location, offset, bytes } of model.external) {
    if (!isBundlePath(location) || location === path) {
      throw unfit(path, 'bad-location', location.slice(0, 100));
    }
    const end = offset + bytes;
    if (end > maxFileBytes) {
      throw new BundleError({ kind: 'too-large', path: location, bytes: end, limit: maxFileBytes });
    }
    ends.set(location, Math.max(end, ends.get(location) ?? 0));
  }
  return Array.from(ends, ([location, bytes]) => ({ path: location, bytes }));
}

/** Return the model record in the graph's metadata; without one, a record from the file's name and parameter count. */
function recordOf(
  model: OnnxModel,
  { model: shape }: ActivationsDocument,
  path: string,
): ModelRecord {
  const text = model.metadata.get(modelRecordKey);
  const record = text === undefined ? null : readModelRecord(parse(text));
  const classifier = classifierOf(shape, record?.classifier, path);
  if (record !== null) {
    const named = { ...record, shape };
    delete named.classifier;
    return { ...named, ...(classifier && { classifier }) };
  }
  const name = path.replace(/^.*\//, '').replace(/\.onnx$/i, '');
  return {
    name,
    architecture: '',
    source: { kind: 'folder', id: '' },
    weights_digest: '',
    parameters: Math.max(1, model.parameters),
    shape,
    ...(classifier && { classifier }),
  };
}

/** Return the names of labels that a graph tells, or numbered ones; undefined for a model without labels. */
function classifierOf(
  { labels = 0 }: ModelShape,
  told: ClassifierRecord | undefined,
  path: string,
): ClassifierRecord | undefined {
  if (labels === 0) return undefined;
  if (told?.labels.length === labels) return told;
  if (labels > MOST_LABELS) throw unfit(path, 'bad-contract', `${labels} labels`);
  const names = Array.from({ length: labels }, (_, at) => `LABEL_${at}`);
  return { problem: 'single_label', labels: names };
}

/** Most labels that a manifest may name. */
const MOST_LABELS = 10_000;

function variantOf(
  model: OnnxModel,
  document: ActivationsDocument,
  path: string,
  data: readonly string[],
): Variant {
  const { kernels, encoding } = computationOf(model);
  const record = { path, activations: document };
  const isPlain = document.graph === 'plain';
  // The outputs without taps are those that a plain graph beside it would have.
  const outputs = document.outputs.filter(({ name }) => parseActivationName(name) !== null);
  return {
    name: kernels,
    precision: kernels,
    kernels,
    encoding,
    opset: model.opset,
    // The graph is the weights file where the weights are inside it.
    weights: data.length > 0 ? [...data] : [path],
    plain: isPlain ? record : { path, activations: { ...document, outputs } },
    // If there is only a static graph, it is used as the open graph, as the page does with a bundle.
    ...(!isPlain && { [document.graph === 'static' ? 'open' : document.graph]: record }),
    taps: isPlain ? [] : tapsOf(model, document),
  };
}

/** Make taps of activations that are inner tensors of the graph; the lens needs nodes that only manifests have. */
function tapsOf(
  model: OnnxModel,
  { model: shape, contract_version: version, outputs, joints = [] }: ActivationsDocument,
): Tap[] {
  const given = new Set(outputs.map(({ name }) => name));
  // No node gives these: the page's own closings do.
  const closed = new Set(joints.map(({ name }) => name));
  return modelActivationNames(shape)
    .filter((name) => (model.tensors.has(name) || closed.has(name)) && !given.has(name))
    .filter((name) => parseActivationName(name)?.kind.startsWith('lens_') === false)
    .map((name) => activationSpec(name, shape, version))
    .filter((spec) => spec !== null)
    .map((spec) => ({ outputs: [spec], bytes: outputTap(spec) }));
}

/** Return the precision of the kernels and of the stored weights, by the operators and types in the graph. */
function computationOf(model: OnnxModel): Required<Pick<Variant, 'kernels' | 'encoding'>> {
  const has = (...operators: string[]): boolean =>
    operators.some((operator) => model.operators.has(operator));
  if (has('MatMulNBits', 'GatherBlockQuantized')) return { kernels: 'int4', encoding: 'q4' };
  // Dynamic and static int8 both use MatMulInteger in places, but only the dynamic one measures ranges at run time.
  if (has('DynamicQuantizeLinear')) return { kernels: 'int8', encoding: 'q8' };
  if (has('QuantizeLinear')) return { kernels: 'int8_static', encoding: 'q8' };
  return model.halves * 2 > model.parameters
    ? { kernels: 'fp16', encoding: 'f16' }
    : { kernels: 'fp32', encoding: 'f32' };
}

function describe({ path, bytes }: { path: string; bytes: number }): FileDescriptor {
  return { path, bytes, media_type: 'application/octet-stream', digest: '' };
}

/** Parse JSON; return null where it is refused, which every check rejects. */
function parse(text: string): unknown {
  const parsed = parseStrictJson(text);
  return parsed.kind === 'json' ? parsed.value : null;
}

function unfit(path: string, reason: UnfitGraph, got: string): BundleError {
  return new BundleError({ kind: 'not-a-model', path, reason, got: oneLine(got) });
}
