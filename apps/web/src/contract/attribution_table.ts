// Names and shapes of the inputs and outputs of attribution taps, from the contract's table. The same in Python:
// oriel/contract/attribution_names.py.
import contract from '../../../../contracts/activations.json' with { type: 'json' };
import { layerShape } from './activation_table';
import type { ModelShape } from './generated';

/** Scope of a tap: the whole model, a layer, or the neurons of a layer. */
export type AttributionPart = 'model' | 'layer' | 'neurons';

/** An input or output; dynamic dimensions have names. */
export interface AttributionPort {
  readonly name: string;
  readonly dtype: 'float32' | 'int64';
  readonly shape: readonly (string | number)[];
}

const table = contract.attribution as {
  readonly dimensions: Readonly<Record<string, string>>;
  readonly inputs: readonly AttributionPort[];
  readonly outputs: readonly (AttributionPort & { readonly part: AttributionPart })[];
};
const dynamic = new Set([...contract.dynamic_dimensions, ...Object.keys(table.dimensions)]);

/** Token ids, (tokens), int64. */
export const tokensInput = 'attribution/tokens';
/** The factor of each token's logit in each direction, (tokens, directions), float32. */
export const signsInput = 'attribution/signs';

/** Inputs that the model's tap declares. */
export const attributionInputs = table.inputs;

/** List the outputs of one tap. `layer`: the tap's layer, null for the model's tap. */
export function attributionOutputs(
  shape: ModelShape,
  part: AttributionPart,
  layer: number | null,
): AttributionPort[] {
  const sizes = new Map<string, unknown>(Object.entries(layerShape(shape, layer)));
  return table.outputs
    .filter((output) => output.part === part)
    .map(({ name, dtype, shape }) => ({
      name: filled(name, layer),
      dtype,
      shape: shape.map((size) =>
        typeof size === 'number' || dynamic.has(size) ? size : Number(sizes.get(size)),
      ),
    }));
}

/** Return the name of the output whose pattern ends in `what`: 'heads' of layer 3 is attribution/layer_3/heads. */
export function attributionName(what: string, layer: number | null): string {
  const output = table.outputs.find(({ name }) => name.endsWith(`/${what}`));
  if (output === undefined) throw new RangeError(`attribution gives no ${what}`);
  return filled(output.name, layer);
}

/** Return the prefix of the names of all tensors that a tap computes. */
export function attributionPrefix(part: AttributionPart, layer: number | null): string {
  const name = table.outputs.find((output) => output.part === part)?.name ?? '';
  return filled(name.slice(0, name.lastIndexOf('/') + 1), layer);
}

/** The direction itself, (hidden, directions), float32: a tensor that the model's tap computes and no tap gives out. */
export const directionName = `${attributionPrefix('model', null)}direction`;

function filled(name: string, layer: number | null): string {
  return layer === null ? name : name.replace('{L}', String(layer));
}
