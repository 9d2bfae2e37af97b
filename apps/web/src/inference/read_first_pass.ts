// Reads a publisher's precomputed example and checks it against the contract: only tensors that a run of that variant
// could have given are accepted. Fetching is load_first_pass.ts; the file's format, contracts/ACTIVATIONS_CONTRACT.md.
import { BundleError } from '../bundle/bundle_error';
import { readSafetensors } from '../bundle/weights/safetensors';
import type { Manifest, Variant } from '../contract/generated';
import { sessionGraph } from '../contract/variant_graphs';
import { shownLogits } from '../contract/whole_text';
import type { TokenPiece } from '../tokenizer/text_tokenizer';
import { CheckedTensors } from './checked_tensors';
import { messageOf } from './model_error';
import type { FirstPass } from './model_types';

/** Read the example. Throws a BundleError of kind `integrity` where the file is not as the manifest says. */
export function readFirstPass(file: Uint8Array<ArrayBuffer>, manifest: Manifest): FirstPass | null {
  const record = manifest.first_pass;
  const variant = manifest.variants.find(({ name }) => name === record?.variant);
  if (record === undefined || variant === undefined) return null;
  try {
    const tensors = new CheckedTensors(readSafetensors(file));
    const first = { ...read(tensors, manifest, variant), manifest, variant };
    tensors.expectNoMore();
    return { ...first, prompt: record.prompt, runtime: record.runtime };
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    const expected = 'what a run of the model gives';
    const { path } = record;
    throw new BundleError({ kind: 'integrity', path, expected, got: messageOf(cause) }, { cause });
  }
}

function read(
  tensors: CheckedTensors,
  manifest: Manifest,
  variant: Variant,
): Pick<FirstPass, 'result' | 'pieces'> {
  const { shape } = manifest.model;
  const { vocab, context_length } = shape;
  const ids = tensors.tokens('input_ids', [1, null], vocab);
  if (ids.length === 0 || ids.length > context_length) throw new RangeError(`${ids.length} tokens`);
  const lastLogits = tensors.floats('logits', shownLogits(shape));
  const own = new Set(sessionGraph(variant).activations.outputs.map(({ name }) => name));
  const named = variant.plain.activations.outputs.filter(({ name }) => !own.has(name));
  const result = {
    ids: Array.from(ids),
    start: 0,
    lastLogits,
    tensors: named.map((spec) => tensors.activation(spec, ids.length, vocab)),
    timings: { runMs: 0 },
  };
  if (manifest.tokenizer === undefined) return { result, pieces: [] };
  const pieces = piecesOf(tensors, vocab);
  const told = new Set(pieces.map(({ id }) => id));
  const untold = ids.find((id) => !told.has(id));
  if (untold !== undefined) throw new RangeError(`no bytes of token ${untold}`);
  return { result, pieces };
}

function piecesOf(tensors: CheckedTensors, vocab: number): TokenPiece[] {
  const ids = tensors.tokens('piece_ids', [null], vocab);
  const bytes = tensors.bytes('piece_bytes');
  const ends = tensors.tokens('piece_ends', [ids.length], bytes.length + 1);
  let begin = 0;
  return Array.from(ids, (id, index) => {
    const end = ends[index] ?? 0;
    if (end < begin) throw new RangeError(`the bytes of token ${id} end before they begin`);
    const piece = { id, bytes: bytes.slice(begin, end) };
    begin = end;
    return piece;
  });
}
