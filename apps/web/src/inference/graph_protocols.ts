// Feeds each kind of graph: its tokens, its cache, the logits that are asked for, and edits. One row for each kind.
// Cached keys and values: key_value_cache.ts.
import type * as Ort from 'onnxruntime-web';
import {
  activationName,
  cachePairs,
  elementCount,
  headScaleName,
  layerShape,
  neutralValue,
  residualDeltaName,
  resolveShape,
  type GraphKind,
} from '../contract/activation_table';
import { closingEntry, closingInputName } from '../contract/closing_table';
import type { ActivationsDocument, ModelShape, TensorSpec } from '../contract/generated';
import { closedJoints, placedEdits, type ClosingSlots } from './closing_slots';
import type { ClosingTensor, JointEdit } from './joint_edit';
import { reachingAllSlots, slotFeeds } from './static_cache';

export type Feeds = Record<string, Ort.Tensor>;

/** The inputs of a graph's session. */
export interface SessionInputs {
  readonly document: ActivationsDocument;
  readonly slots: ClosingSlots;
  /** Inputs that the runtime lists: it leaves out those that have a default. */
  readonly names: readonly string[];
}

/** The text of a run, whose first tokens are in the cache. */
export interface FedText {
  readonly ids: readonly number[];
  readonly start: number;
  /** Number of last tokens whose logits a model without a cache gives; 1 by default. */
  readonly rows?: number;
}

/** Several texts of a run, none of them cached. */
export interface FedBatch {
  readonly texts: readonly (readonly number[])[];
  /** Number of last tokens whose logits are requested. */
  readonly logits: number;
}

export interface GraphProtocol {
  /** True where a run gives keys and values that the next one takes. */
  readonly hasCache: boolean;
  /** True if the cache has a fixed length, of which a text fills a part. */
  readonly cacheIsFixed: boolean;
  /** `joints`: by closings, for which a session has slots; `inputs`: by inputs that every session has. */
  readonly edits: 'joints' | 'inputs' | 'none';
  /** Make the inputs that are the same in every run: an empty cache, and edits that change nothing. */
  readonly neutral: (ort: typeof Ort, session: SessionInputs) => Feeds;
  /** Make the inputs of one text. Only the last token's logits are asked for, where the graph can leave out others. */
  readonly text: (ort: typeof Ort, text: FedText, session: SessionInputs) => Feeds;
  /**
   * Make the inputs of several texts with empty caches and padding before the shorter ones; null if the graph takes
   * only one text.
   */
  readonly batch: ((ort: typeof Ort, batch: FedBatch, session: SessionInputs) => Feeds) | null;
  /** Make the inputs of edits. Throws a RangeError for one that the session cannot apply. */
  readonly edited: (ort: typeof Ort, edits: readonly JointEdit[], session: SessionInputs) => Feeds;
}

const protocols: Readonly<Record<GraphKind, GraphProtocol>> = {
  plain: {
    hasCache: false,
    cacheIsFixed: false,
    edits: 'none',
    neutral: () => ({}),
    text: tokens,
    batch: null,
    edited: noEdits,
  },
  decoder: {
    hasCache: true,
    cacheIsFixed: false,
    edits: 'none',
    neutral: emptyCache,
    text: decoderText,
    batch: decoderBatch,
    edited: noEdits,
  },
  open: {
    hasCache: true,
    cacheIsFixed: false,
    edits: 'joints',
    neutral: (ort, session) => ({ ...emptyCache(ort, session), ...neutralSlots(ort, session) }),
    text: decoderText,
    batch: decoderBatch,
    edited: closingFeeds,
  },
  static: {
    hasCache: true,
    cacheIsFixed: true,
    edits: 'joints',
    neutral: (ort, session) => ({ ...emptyCache(ort, session), ...neutralSlots(ort, session) }),
    text: (ort, text, session) => ({
      ...decoderText(ort, text, session),
      ...slotFeeds(ort, { ...text, end: text.ids.length }, cacheLength(session)),
    }),
    // Its slots of the cache belong to one text.
    batch: null,
    edited: (ort, edits, session) =>
      closingFeeds(
        ort,
        edits.map((edit) => reachingAllSlots(edit, cacheLength(session))),
        session,
      ),
  },
  interactive: {
    hasCache: true,
    cacheIsFixed: false,
    edits: 'inputs',
    neutral: (ort, session) => ({ ...emptyCache(ort, session), ...neutralInputs(ort, session) }),
    text: (ort, text) => ({ ...tokens(ort, text), logits_start: integers(ort, [-1], [1]) }),
    // It has no mask for padding, and its edits apply to all texts alike.
    batch: null,
    edited: (ort, edits, { document }) => editInputs(ort, edits, document.model),
  },
};

/** The differences of a graph without a cache from its kind: whole texts, and no keys and values. */
const WITHOUT_CACHE: Partial<GraphProtocol> = {
  hasCache: false,
  neutral: neutralSlots,
  text: wholeText,
  batch: wholeTexts,
};

export function protocolOf({
  graph,
  model,
}: Pick<ActivationsDocument, 'graph' | 'model'>): GraphProtocol {
  const isWhole = model.bidirectional === true && graph !== 'plain';
  return isWhole ? { ...protocols[graph], ...WITHOUT_CACHE } : protocols[graph];
}

/** List the outputs of a run that are inputs of the next one. */
export function cacheNames(document: ActivationsDocument): ReturnType<typeof cachePairs> {
  return protocolOf(document).hasCache ? cachePairs(document.model.layers) : [];
}

function cacheLength({ document }: SessionInputs): number {
  if (document.cache_length === undefined)
    throw new RangeError(`a ${document.graph} graph has no cache of fixed length`);
  return document.cache_length;
}

function tokens(ort: typeof Ort, { ids, start }: FedText): Feeds {
  const fed = ids.slice(start);
  return { input_ids: integers(ort, fed, [1, fed.length]) };
}

function decoderText(ort: typeof Ort, text: FedText, { names }: SessionInputs): Feeds {
  const { ids, start } = text;
  const fed = ids.length - start;
  const positions = Array.from({ length: fed }, (_, index) => start + index);
  return {
    ...tokens(ort, text),
    attention_mask: new ort.Tensor('int64', new BigInt64Array(ids.length).fill(1n), [
      1,
      ids.length,
    ]),
    position_ids: integers(ort, positions, [1, fed]),
    // The decoder graph has a default for it, which the runtime of browsers lets nobody replace.
    ...(names.includes('num_logits_to_keep') && { num_logits_to_keep: integers(ort, [1], []) }),
  };
}

function decoderBatch(ort: typeof Ort, batch: FedBatch, session: SessionInputs): Feeds {
  const { texts, logits } = batch;
  const end = Math.max(...texts.map(({ length }) => length));
  const padded = (of: (token: number, at: number) => number): Ort.Tensor => {
    const rows = texts.flatMap((ids) => [
      ...Array<number>(end - ids.length).fill(0),
      ...ids.map(of),
    ]);
    return integers(ort, rows, [texts.length, end]);
  };
  return {
    ...emptyCache(ort, session, texts.length),
    input_ids: padded((token) => token),
    attention_mask: padded(() => 1),
    position_ids: padded((_, at) => at),
    ...(session.names.includes('num_logits_to_keep') && {
      num_logits_to_keep: integers(ort, [logits], []),
    }),
  };
}

function wholeText(ort: typeof Ort, { ids, rows = 1 }: FedText, session: SessionInputs): Feeds {
  return wholeTexts(ort, { texts: [ids], logits: rows }, session);
}

/** Make the inputs of a graph that counts positions by the mask, all tokens of the first segment. */
function wholeTexts(ort: typeof Ort, { texts, logits }: FedBatch, { names }: SessionInputs): Feeds {
  const end = Math.max(...texts.map(({ length }) => length));
  const padded = (of: (token: number) => number): Ort.Tensor => {
    const rows = texts.flatMap((ids) => [
      ...Array<number>(end - ids.length).fill(0),
      ...ids.map(of),
    ]);
    return integers(ort, rows, [texts.length, end]);
  };
  return {
    input_ids: padded((token) => token),
    attention_mask: padded(() => 1),
    ...(names.includes('token_type_ids') && { token_type_ids: padded(() => 0) }),
    ...(names.includes('num_logits_to_keep') && {
      num_logits_to_keep: integers(ort, [logits], []),
    }),
  };
}

function integers(ort: typeof Ort, values: readonly number[], dims: readonly number[]): Ort.Tensor {
  return new ort.Tensor('int64', BigInt64Array.from(values, BigInt), dims);
}

function emptyCache(ort: typeof Ort, { document }: SessionInputs, batch = 1): Feeds {
  const inputs = new Set(cacheNames(document).map(({ input }) => input));
  return filledInputs(
    ort,
    document.inputs.filter(({ name }) => inputs.has(name)),
    { batch, past: document.cache_length ?? 0 },
  );
}

/** Make the inputs of contract 1.x that scale heads and add to the residual stream. */
function neutralInputs(ort: typeof Ort, { document }: SessionInputs): Feeds {
  const { inputs } = document;
  return filledInputs(
    ort,
    inputs.filter(({ name, dtype }) => dtype === 'float32' && neutralValue(name) !== null),
  );
}

function filledInputs(
  ort: typeof Ort,
  inputs: readonly TensorSpec[],
  { batch = 1, past = 0 }: { readonly batch?: number; readonly past?: number } = {},
): Feeds {
  return Object.fromEntries(
    inputs.map(({ name, shape }) => {
      const dims = resolveShape(shape, { batch, seq: 1, past });
      const data = new Float32Array(elementCount(dims)).fill(neutralValue(name) ?? 0);
      return [name, new ort.Tensor('float32', data, dims)] as const;
    }),
  );
}

function neutralSlots(ort: typeof Ort, { document, slots }: SessionInputs): Feeds {
  const feeds: Feeds = {};
  for (const { joint, closings } of closedJoints(document.joints ?? [], slots)) {
    const dims = joint.shape.map(() => 1);
    for (const [slot, closing] of closings.entries())
      for (const { name, dtype, neutral } of closingEntry(closing).inputs)
        feeds[closingInputName(joint.name, slot, name)] = tensorOf(ort, {
          dims,
          data: dtype === 'bool' ? Uint8Array.of(neutral) : Float32Array.of(neutral),
        });
  }
  return feeds;
}

function closingFeeds(
  ort: typeof Ort,
  edits: readonly JointEdit[],
  { slots }: SessionInputs,
): Feeds {
  return Object.fromEntries(
    placedEdits(slots, edits).flatMap(([{ joint, layer, tensors }, slot]) =>
      Object.entries(tensors).map(([name, tensor]) => [
        closingInputName(activationName(joint, layer), slot, name),
        tensorOf(ort, tensor),
      ]),
    ),
  );
}

function tensorOf(ort: typeof Ort, { dims, data }: ClosingTensor): Ort.Tensor {
  return data instanceof Uint8Array
    ? new ort.Tensor('bool', data, dims)
    : new ort.Tensor('float32', data, dims);
}

/** Make the inputs of contract 1.x: a scale of each head, and what is added to resid_post; there are no others. */
function editInputs(ort: typeof Ort, edits: readonly JointEdit[], shape: ModelShape): Feeds {
  const feeds: Feeds = {};
  for (const { joint, layer, closing, tensors } of edits) {
    const [name, tensor] =
      joint === 'attn_z' && closing === 'scale'
        ? [headScaleName(layer), perHead(tensors['scale'], layerShape(shape, layer))]
        : joint === 'resid_post' && closing === 'add'
          ? [residualDeltaName(layer), perToken(tensors['add'], shape)]
          : [null, null];
    if (name === null || tensor === null || name in feeds)
      throw new RangeError(
        `a graph of contract 1.x scales heads and adds to resid_post once, and cannot ${closing} at ${joint}`,
      );
    feeds[name] = tensorOf(ort, tensor);
  }
  return feeds;
}

/** Return a scale as (heads); null where it has more than one number for a head. */
function perHead(tensor: ClosingTensor | undefined, { heads }: ModelShape): ClosingTensor | null {
  if (tensor?.dims[1] !== heads || tensor.data.length !== heads) return null;
  return { dims: [heads], data: tensor.data };
}

/** Return an addition as (1, tokens or 1, hidden); null where it has one number for all of `hidden`. */
function perToken(tensor: ClosingTensor | undefined, { hidden }: ModelShape): ClosingTensor | null {
  return tensor?.dims[2] === hidden ? tensor : null;
}

function noEdits(
  _ort: typeof Ort,
  edits: readonly JointEdit[],
  { document }: SessionInputs,
): Feeds {
  if (edits.length > 0) throw new RangeError(`a ${document.graph} graph takes no interventions`);
  return {};
}
