// Reads a variant's reference pass and checks it against the contract. load_reference_pass.ts downloads it;
// contracts/ACTIVATIONS_CONTRACT.md specifies the format.
import { BundleError } from '../bundle/bundle_error';
import { readSafetensors } from '../bundle/weights/safetensors';
import {
  activationSpec,
  contractVersion,
  modelActivationNames,
  parseActivationName,
} from '../contract/activation_table';
import type { ModelShape, ReferencePassRecord, TensorSpec } from '../contract/generated';

import { CheckedTensors } from './checked_tensors';
import { messageOf } from './model_error';
import type { Tensor } from './model_types';

export interface ReferencePass {
  readonly ids: readonly number[];
  /** Every activation of the contract in computation order, with logits of the last position only. */
  readonly values: readonly Tensor[];
}

/** Read the pass. Throws a BundleError of kind `integrity` if the file violates the contract. */
export function readReferencePass(
  file: Uint8Array<ArrayBuffer>,
  { path, bounds }: ReferencePassRecord,
  shape: ModelShape,
): ReferencePass {
  try {
    const tensors = new CheckedTensors(readSafetensors(file));
    const ids = Array.from(tensors.tokens('input_ids', [1, null], shape.vocab));
    if (ids.length === 0 || ids.length > shape.context_length) {
      throw new RangeError(`${ids.length} tokens`);
    }
    const values = passSpecs(shape).map((spec) => {
      const kind = parseActivationName(spec.name)?.kind ?? spec.name;
      if (bounds[kind] === undefined) throw new RangeError(`no bound of ${kind}`);
      // Shapes are computed for one token, so that the logits have one position.
      const length = spec.name === 'logits' ? 1 : ids.length;
      return tensors.activation(spec, length, shape.vocab);
    });
    tensors.expectNoMore();
    return { ids, values };
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    const expected = 'every activation of the model, and nothing else';
    throw new BundleError({ kind: 'integrity', path, expected, got: messageOf(cause) }, { cause });
  }
}

/** List the activations of a pass in the order in which a model computes them. */
export function passSpecs(shape: ModelShape): TensorSpec[] {
  const names = modelActivationNames(shape);
  const last = ['final_norm', 'pooled', 'logits'];
  const isOfLayer = (name: string): boolean => parseActivationName(name)?.layer !== null;
  const first = names.filter((name) => !isOfLayer(name) && !last.includes(name));
  return [...first, ...names.filter(isOfLayer), ...last].flatMap(
    (name) => activationSpec(name, shape, contractVersion) ?? [],
  );
}
