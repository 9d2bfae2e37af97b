// Turns an analysis record into what the views take, checking it like anything that came from outside.
import { shownLogits } from '../contract/whole_text';
import { mergeRun, type ActivationSet } from '../activations/activation_set';
import { readSafetensors } from '../bundle/weights/safetensors';
import { activationSpec } from '../contract/activation_table';
import type { Manifest, ModelShape, TensorSpec, Variant } from '../contract/generated';
import { CheckedTensors } from '../inference/checked_tensors';
import { editsFromJson } from '../inference/edit_json';
import type { TokenPiece, ViewedModel } from '../inference/model_types';
import type { Answer } from '../session/answer';
import { tokensOf } from '../session/token';
import { expanded, fromBase64 } from './bytes_text';
import { RECORD_VERSION, type AnalysisRecord } from './record';

export interface SavedAnalysis {
  readonly record: AnalysisRecord;
  readonly model: ViewedModel;
  readonly answer: Answer;
}

/** Most bytes of numbers that a page takes: about what a browser gives one array. */
const MOST_BYTES = 2 ** 31;

/** Read a record's text. Throws a RangeError that says what is wrong with it. */
export async function readRecord(text: string): Promise<SavedAnalysis> {
  const record = parsed(text);
  const { shape } = record.model;
  const activations = await readNumbers(record.tensors, record);
  const untouched = record.untouched === null ? null : await readNumbers(record.untouched, record);
  const pieces = new Map<number, TokenPiece>(
    (record.pieces ?? []).map(([id, bytes]) => [id, { id, bytes: fromBase64(bytes) }]),
  );
  const { ids } = activations;
  if (untouched !== null && untouched.ids.join() !== ids.join())
    throw new RangeError('numbers without edits that are of another text');
  return {
    record,
    model: {
      manifest: manifestOf(record),
      variant: variantOf(record, shape, activations.names),
      activations: ['logits', ...activations.names],
      hasTokenizer: record.pieces !== null,
      lens: record.lens,
    },
    answer: {
      tokens: tokensOf(ids, pieces, record.typed, []),
      activations,
      interventions: editsFromJson(record.edits),
      untouchedLogits: untouched?.lastLogits ?? null,
      untouched,
      pieces,
    },
  };
}

function parsed(text: string): AnalysisRecord {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new RangeError('an analysis that is not JSON', { cause });
  }
  if (!isRecord(value)) throw new RangeError('an analysis that is no object');
  const { analysis_version: version } = value;
  const [major] = RECORD_VERSION.split('.');
  if (typeof version !== 'string' || version.split('.')[0] !== major)
    throw new RangeError(`an analysis of version ${String(version)} instead of ${major ?? ''}.x`);
  for (const [name, fits] of Object.entries(FORMS))
    if (!fits(value[name]))
      throw new RangeError(`an analysis whose ${name} is not as it should be`);
  return value as unknown as AnalysisRecord;
}

type Fits = (value: unknown) => boolean;

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
const isText: Fits = (value) => typeof value === 'string';
const isCount: Fits = (value) => Number.isSafeInteger(value) && Number(value) >= 0;
const isNullOr =
  (fits: Fits): Fits =>
  (value) =>
    value === null || fits(value);
const isIds: Fits = (value) => Array.isArray(value) && value.every(isCount);
const isPiece: Fits = (value) =>
  Array.isArray(value) && value.length === 2 && isCount(value[0]) && isText(value[1]);
const SIZES = ['layers', 'hidden', 'heads', 'vocab', 'context_length'];

const FORMS: Readonly<Record<keyof Omit<AnalysisRecord, 'analysis_version'>, Fits>> = {
  contract_version: isText,
  model: (value) => {
    if (!isRecord(value)) return false;
    const { name, weights_digest: digest, shape } = value;
    return (
      isText(name) && isText(digest) && isRecord(shape) && SIZES.every((key) => isCount(shape[key]))
    );
  },
  variant: (value) => isRecord(value) && isText(value['name']) && isText(value['precision']),
  lens: isText,
  lens_packs: (value) => Array.isArray(value) && value.every(isRecord),
  runtime: isText,
  prompt: isText,
  typed: isCount,
  edits: isRecord,
  // Only models that continue no text have it.
  tokenizer: (value) =>
    value === undefined ||
    (isRecord(value) &&
      (value['mask_token'] === undefined || isCount(value['mask_token'])) &&
      isIds(value['last_tokens'])),
  pieces: isNullOr((value) => Array.isArray(value) && value.every(isPiece)),
  tensors: isText,
  untouched: isNullOr(isText),
  state: isText,
  link: isNullOr((value) => isText(value) && /^https?:\/\//.test(String(value))),
  kernel: isNullOr(
    (value) =>
      isRecord(value) &&
      isText(value['token']) &&
      Array.isArray(value['openable']) &&
      value['openable'].every(isText),
  ),
};

async function readNumbers(text: string, record: AnalysisRecord): Promise<ActivationSet> {
  const { shape } = record.model;
  const tensors = readSafetensors(await expanded(text, MOST_BYTES));
  const names = [...tensors.keys()].filter((name) => name !== 'input_ids' && name !== 'logits');
  const checked = new CheckedTensors(tensors);
  const ids = Array.from(checked.tokens('input_ids', [1, null], shape.vocab));
  const set = mergeRun(null, {
    ids,
    start: 0,
    lastLogits: checked.floats('logits', shownLogits(shape)),
    tensors: names.map((name) =>
      checked.activation(specOf(name, shape, record), ids.length, shape.vocab),
    ),
    timings: { runMs: 0 },
  });
  if (set === null || ids.length === 0) throw new RangeError('an analysis without tokens');
  return set;
}

function specOf(name: string, shape: ModelShape, record: AnalysisRecord): TensorSpec {
  const spec = activationSpec(name, shape, record.contract_version);
  if (spec === null) throw new RangeError(`${name}, which this model does not have`);
  return spec;
}

/** Return a manifest without files: the model of the numbers, and the lens that they were read through. */
function manifestOf(record: AnalysisRecord): Manifest {
  return {
    format: 'oriel-bundle',
    manifest_version: record.contract_version,
    contract_version: record.contract_version,
    model: record.model,
    ...(record.tokenizer !== undefined && { tokenizer: record.tokenizer }),
    files: [],
    lens_packs: record.lens_packs.map((pack) => ({ ...pack, taps: {} })),
    variants: [],
    exporter: { name: 'oriel', version: '' },
  } as unknown as Manifest;
}

/** Return a variant whose graphs are not there; with a kernel, one that takes edits and opens more activations. */
function variantOf(record: AnalysisRecord, shape: ModelShape, names: readonly string[]): Variant {
  const document = {
    contract_version: record.contract_version,
    model: shape,
    inputs: [],
    outputs: names.map((name) => specOf(name, shape, record)),
  };
  const { kernel } = record;
  const openable = (kernel?.openable ?? []).filter((name) => !names.includes(name));
  return {
    ...record.variant,
    opset: 0,
    weights: [],
    plain: { path: '', activations: { ...document, graph: 'plain' } },
    ...(kernel !== null && { open: { path: '', activations: { ...document, graph: 'open' } } }),
    taps: openable.map((name) => ({ outputs: [specOf(name, shape, record)], bytes: '' })),
  };
}
