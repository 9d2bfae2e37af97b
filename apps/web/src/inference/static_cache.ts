// A cache of fixed length on the page: selects it, feeds a text to it, and reads its results. Its graph is the open
// graph with fixed shapes; the mask hides the slots after the end of the text.
import type * as Ort from 'onnxruntime-web';
import { closingEntry } from '../contract/closing_table';
import type { ActivationsDocument, Variant } from '../contract/generated';
import { parseActivationName } from '../contract/activation_table';
import type { ClosingTensor, JointEdit } from './joint_edit';
import type { OpenRequest, Provider, Tensor } from './model_types';

/** Activations whose last dimension is the tokens that are attended to. */
const ofAllTokens = new Set(['attn_scores', 'attn_probs']);

/**
 * Return the variant with its static graph as the open graph, if that is requested, the bundle has one and the provider
 * benefits: on WebAssembly each step would copy whole buffers for nothing.
 */
export function withStaticCache(
  variant: Variant,
  { staticCache = false }: OpenRequest,
  provider: Provider,
): Variant {
  const { static: record } = variant;
  if (!staticCache || provider !== 'webgpu' || record === undefined) return variant;
  return { ...variant, open: record };
}

/** Return the maximum number of tokens of a text. */
export function textLimit({ model, cache_length: length }: ActivationsDocument): number {
  return Math.min(model.context_length, length ?? model.context_length);
}

/** Make the inputs that say which slots a call writes, and which slots hold the text. */
export function slotFeeds(
  ort: typeof Ort,
  { start, end }: { readonly start: number; readonly end: number },
  length: number,
): Record<string, Ort.Tensor> {
  const mask = new BigInt64Array(length).fill(1n, 0, end);
  const written = BigInt64Array.from({ length: end - start }, (_, index) => BigInt(start + index));
  return {
    attention_mask: new ort.Tensor('int64', mask, [1, length]),
    cache_position: new ort.Tensor('int64', written, [end - start]),
  };
}

/** Extend an edit's tensors to the end of the cache with values that change nothing. */
export function reachingAllSlots(edit: JointEdit, length: number): JointEdit {
  if (!ofAllTokens.has(edit.joint)) return edit;
  const tensors = Object.fromEntries(
    closingEntry(edit.closing).inputs.flatMap(({ name, neutral }) => {
      const tensor = edit.tensors[name];
      return tensor === undefined ? [] : [[name, widened(tensor, length, neutral)] as const];
    }),
  );
  return { ...edit, tensors };
}

/** Return a tensor padded to `length` along its last dimension; a dimension of 1 stays, since it broadcasts. */
function widened({ dims, data }: ClosingTensor, length: number, filling: number): ClosingTensor {
  const width = dims.at(-1) ?? 1;
  if (width === 1 || width === length) return { dims, data };
  const rows = data.length / width;
  const wide =
    data instanceof Uint8Array ? new Uint8Array(rows * length) : new Float32Array(rows * length);
  wide.fill(filling);
  for (let row = 0; row < rows; row++)
    wide.set(data.subarray(row * width, (row + 1) * width), row * length);
  return { dims: [...dims.slice(0, -1), length], data: wide };
}

/** Return an activation without the columns of slots after the text's `end` tokens. */
export function withoutEmptySlots(tensor: Tensor, end: number): Tensor {
  const { name, dims, data } = tensor;
  const width = dims.at(-1) ?? 0;
  if (!ofAllTokens.has(parseActivationName(name)?.kind ?? '') || width === end) return tensor;
  const rows = data.length / width;
  const narrow =
    data instanceof Int32Array ? new Int32Array(rows * end) : new Float32Array(rows * end);
  for (let row = 0; row < rows; row++)
    narrow.set(data.subarray(row * width, row * width + end), row * end);
  return { name, dims: [...dims.slice(0, -1), end], data: narrow };
}
