// The contract's table of activations, and the patterns of their names. Types of a bundle are in generated.ts.
import contract from '../../../../contracts/activations.json' with { type: 'json' };
import type {
  ActivationKind,
  ActivationsDocument,
  Dimension,
  LayerSizes,
  ModelShape,
  TensorSpec,
} from './generated';

/** Name that another library gives to an activation. */
interface PeerName {
  readonly name: string;
  /** Its name in models with rotary positions, where that is another. */
  readonly rotary?: string;
}

type ModelTrait =
  | 'parallel_residual'
  | 'gated_mlp'
  | 'raw_outputs'
  | 'experts'
  | 'bidirectional'
  | 'token_types'
  | 'labels'
  | 'pooled';

type PeerId = keyof typeof contract.peers;

export interface ActivationEntry {
  readonly kind: ActivationKind;
  /** Pattern of the name; `{L}` stands for the layer. */
  readonly name: string;
  readonly per_layer: boolean;
  readonly shape: readonly string[];
  /** Shape in a model with this property, or size other than 0; the first that a model has counts. */
  readonly shape_when?: Readonly<Partial<Record<ModelTrait, readonly string[]>>>;
  readonly dtype: string;
  /** Property of the model, or size other than 0, with which the activation does not exist. */
  readonly absent_when?: ModelTrait;
  /** The one without which it does not. */
  readonly present_when?: ModelTrait;
  /** True where an open graph leaves the tensor to a closing. */
  readonly joint?: boolean;
  readonly peers: Readonly<Record<PeerId, PeerName | null>>;
  readonly meaning: { readonly en: string; readonly zh: string };
}

export interface ActivationName {
  readonly kind: ActivationKind;
  /** null for activations of the whole model, such as `logits`. */
  readonly layer: number | null;
}

/** Sizes of one run, for the dimensions that the model's shape does not fix. */
export interface RunSizes {
  readonly batch: number;
  readonly seq: number;
  readonly past: number;
}

export const contractVersion = contract.contract_version;

/** The newest version of the major before, which is read too. */
export const earlierVersion = contract.earlier.version;

export type GraphKind = ActivationsDocument['graph'];

// The kinds were generated from this very file, and `npm run contract:check` keeps it so.
export const activationTable = contract.activations as readonly ActivationEntry[];

const entryByKind = new Map(activationTable.map((entry) => [entry.kind, entry]));

const byName = activationTable.map((entry) => [entry, namePattern(entry.name)] as const);

const cacheInputs = contract.inputs.filter(({ name }) => name.startsWith('past_key_values.'));

const neutralInputs = contract.inputs.flatMap((input) =>
  input.neutral === undefined ? [] : [{ pattern: namePattern(input.name), neutral: input.neutral }],
);

const earlierDimensions = new Map(Object.entries(contract.earlier.dimensions));

function namePattern(name: string): RegExp {
  const [before = '', after] = name.split('{L}').map((part) => part.replaceAll('.', '\\.'));
  return new RegExp(after === undefined ? `^${before}$` : `^${before}(0|[1-9][0-9]{0,3})${after}$`);
}

function fillLayer(pattern: string, layer: number): string {
  return pattern.replace('{L}', String(layer));
}

export function activationEntry(kind: ActivationKind): ActivationEntry {
  const entry = entryByKind.get(kind);
  if (entry === undefined) throw new RangeError(`no activation of kind ${kind}`);
  return entry;
}

/** `layer` is null for kinds of the whole model, and a layer for the others. */
export function activationName(kind: ActivationKind, layer: number | null): string {
  const { name, per_layer } = activationEntry(kind);
  if (per_layer !== (layer !== null)) {
    throw new RangeError(`${kind} ${per_layer ? 'needs a layer' : 'has no layer'}`);
  }
  return layer === null ? name : fillLayer(name, layer);
}

/** Names of one activation in libraries that call it the same. */
export interface PeerAlias {
  readonly libraries: string[];
  readonly name: string;
  /** null where the name doesn't depend on how the model encodes positions. */
  readonly rotary: string | null;
}

/** List what other libraries call an activation, those that agree together. */
export function peerAliases({ kind, layer }: ActivationName): PeerAlias[] {
  const peers = Object.entries(activationEntry(kind).peers) as [PeerId, PeerName | null][];
  const aliases: PeerAlias[] = [];
  for (const [id, peer] of peers) {
    if (peer === null) continue;
    const at = (name: string): string => fillLayer(name, layer ?? 0);
    const name = at(peer.name);
    const rotary = peer.rotary === undefined ? null : at(peer.rotary);
    const same = aliases.find((alias) => alias.name === name && alias.rotary === rotary);
    const { title } = contract.peers[id];
    if (same === undefined) aliases.push({ libraries: [title], name, rotary });
    else same.libraries.push(title);
  }
  return aliases;
}

/** Parse a name; null where it is not one of this contract, as in a newer minor version. */
export function parseActivationName(name: string): ActivationName | null {
  for (const [entry, pattern] of byName) {
    const match = pattern.exec(name);
    if (match !== null) {
      return { kind: entry.kind, layer: match[1] === undefined ? null : Number(match[1]) };
    }
  }
  return null;
}

/** List every name that a model of this shape can give: of the whole model, then by layer, in the table's order. */
export function modelActivationNames(shape: ModelShape): string[] {
  const whole = activationTable
    .filter((entry) => !entry.per_layer && isPresent(entry, shape))
    .map(({ name }) => name);
  const layers = Array.from({ length: shape.layers }, (_, layer) => {
    const at = layerShape(shape, layer);
    return activationTable
      .filter((entry) => entry.per_layer && isPresent(entry, at))
      .map(({ name }) => fillLayer(name, layer));
  });
  return [...whole, ...layers.flat()];
}

/** Sizes that a layer may have of its own. */
export const LAYER_SIZES = [
  'heads',
  'kv_heads',
  'head_dim',
  'value_dim',
  'intermediate',
  'window',
  'experts',
  'active_experts',
] as const satisfies readonly (keyof LayerSizes)[];

/** Return the shape with the sizes of a layer in place of the model's. */
export function layerShape(shape: ModelShape, layer: number | null): ModelShape {
  const sizes = layer === null ? undefined : shape.layer_sizes?.[layer];
  if (sizes === undefined) return shape;
  // Not a spread: a document may hold more, and no layer has another width of the residual stream.
  const own = LAYER_SIZES.flatMap((name) =>
    sizes[name] === undefined ? [] : [[name, sizes[name]]],
  );
  return { ...shape, ...(Object.fromEntries(own) as LayerSizes) };
}

/** List the kinds that a model of this shape has, in any of its layers, in the table's order. */
export function modelKinds(shape: ModelShape): ActivationKind[] {
  const layers = Array.from({ length: shape.layer_sizes?.length ?? 1 }, (_, layer) =>
    layerShape(shape, layer),
  );
  return activationTable
    .filter((entry) => layers.some((at) => isPresent(entry, at)))
    .map(({ kind }) => kind);
}

interface Conditions {
  readonly absent_when?: ModelTrait;
  readonly present_when?: ModelTrait;
}

/** Return whether a layer of this shape computes an activation, or its graphs have an input or output of the cache. */
function isPresent({ absent_when, present_when }: Conditions, shape: ModelShape): boolean {
  const has = (trait: ModelTrait): boolean => Boolean(shape[trait]);
  return !(absent_when && has(absent_when)) && (present_when === undefined || has(present_when));
}

/** Return the sizes in one run of a shape in the contract's terms, as the manifest gives it. */
export function resolveShape(shape: readonly Dimension[], run: RunSizes): number[] {
  return shape.map((dimension) => {
    if (typeof dimension === 'number') return dimension;
    switch (dimension) {
      case 'batch':
      case 'batch_size':
        return run.batch;
      case 'seq':
      case 'sequence_length':
      case 'num_logits': // As many as all tokens at most.
        return run.seq;
      case 'past':
      case 'past_sequence_length':
        return run.past;
      case 'total':
      case 'total_sequence_length':
        return run.past + run.seq;
      // Interventions broadcast: one row serves every sequence and position.
      case 'delta_batch':
      case 'delta_seq':
        return 1;
    }
  });
}

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((count, size) => count * size, 1);
}

/** Pair each cache input with the output that feeds it on the next run. */
export function cachePairs(layers: number): { input: string; output: string }[] {
  return Array.from({ length: layers }, (_, layer) =>
    cacheInputs.map(({ name }, index) => {
      const output = contract.cache_outputs[index];
      if (output === undefined) throw new RangeError(`no cache output for ${name}`);
      return { input: fillLayer(name, layer), output: fillLayer(output.name, layer) };
    }),
  ).flat();
}

/** Return the value of an input that changes nothing; null for inputs that have none, such as tokens. */
export function neutralValue(name: string): number | null {
  return neutralInputs.find(({ pattern }) => pattern.test(name))?.neutral ?? null;
}

/** Return the name of the input of contract 1.x that scales the heads of a layer. */
export function headScaleName(layer: number): string {
  return `layer_${layer}_head_scale`;
}

/** Return the name of the input of contract 1.x that is added to the residual stream behind a layer. */
export function residualDeltaName(layer: number): string {
  return `layer_${layer}_resid_delta`;
}

/** List the inputs of a graph of this kind and version: those without a layer, then layer by layer. */
export function inputSpecs(shape: ModelShape, graph: GraphKind, version: string): TensorSpec[] {
  return portSpecs(
    (contract.inputs as readonly (Port & { graphs: readonly string[] })[]).filter(({ graphs }) =>
      graphs.includes(graph),
    ),
    shape,
    version,
  );
}

/** List the outputs of the key/value cache, which every graph but the plain one has; none of a bidirectional model. */
export function cacheOutputSpecs(shape: ModelShape, version: string): TensorSpec[] {
  return portSpecs(contract.cache_outputs as readonly Port[], shape, version);
}

/** List the joints of an open graph, layer by layer: tensors that its nodes read and that closings give. */
export function jointSpecs(shape: ModelShape): TensorSpec[] {
  const joints = activationTable.filter(({ joint }) => joint === true);
  return Array.from({ length: shape.layers }, (_, layer) => {
    const at = layerShape(shape, layer);
    return joints
      .filter((entry) => isPresent(entry, at))
      .map((entry) => spec(fillLayer(entry.name, layer), entry, at, contractVersion));
  }).flat();
}

/** Return the spec of an activation in a version's terms; null for a name that a model of this shape does not have. */
export function activationSpec(
  name: string,
  shape: ModelShape,
  version: string,
): TensorSpec | null {
  const parsed = parseActivationName(name);
  if (parsed === null || (parsed.layer ?? 0) >= shape.layers) return null;
  const entry = activationEntry(parsed.kind);
  const at = layerShape(shape, parsed.layer);
  return isPresent(entry, at) ? spec(name, entry, at, version) : null;
}

/** List the activations that an export opens by default; those of layers are of the last layer. */
export function defaultActivationNames(shape: ModelShape): string[] {
  return activationTable
    .filter(({ kind }) => contract.defaults.activations.includes(kind))
    .map(({ kind, per_layer }) => activationName(kind, per_layer ? shape.layers - 1 : null));
}

interface Port extends Conditions {
  readonly name: string;
  readonly shape: readonly (string | number)[];
  readonly shape_when?: Readonly<Partial<Record<ModelTrait, readonly string[]>>>;
  readonly dtype: string;
}

function portSpecs(ports: readonly Port[], shape: ModelShape, version: string): TensorSpec[] {
  const there = ports.filter((port) => isPresent(port, shape));
  const once = there.filter(({ name }) => !name.includes('{L}'));
  const perLayer = there.filter(({ name }) => name.includes('{L}'));
  return [
    ...once.map((port) => spec(port.name, port, shape, version)),
    ...Array.from({ length: shape.layers }, (_, layer) =>
      perLayer.map((port) =>
        spec(fillLayer(port.name, layer), port, layerShape(shape, layer), version),
      ),
    ).flat(),
  ];
}

function spec(
  name: string,
  { shape: usual, shape_when: special = {}, dtype }: Omit<Port, 'name'>,
  model: ModelShape,
  version: string,
): TensorSpec {
  const traits = Object.keys(special) as ModelTrait[];
  const trait = traits.find((each) => Boolean(model[each]));
  const shape = (trait === undefined ? undefined : special[trait]) ?? usual;
  const isEarlier = majorOf(version) === majorOf(earlierVersion);
  return {
    name,
    // The table has only these two.
    dtype: dtype === 'int64' ? 'int64' : 'float32',
    shape: shape.map((dimension) => {
      const size = fixedSize(dimension, model);
      return isEarlier ? earlierDimension(size) : size;
    }),
  };
}

/** Return the name that the major before has for a dynamic dimension; sizes are the same in both. */
function earlierDimension(dimension: Dimension): Dimension {
  const name = earlierDimensions.get(String(dimension));
  // The names stand in the table, and all of them in the schema.
  return name === undefined ? dimension : (name as Dimension);
}

function majorOf(version: string): string {
  return version.slice(0, version.indexOf('.'));
}

/** Return the model's size for a dimension that the model fixes; dynamic ones keep their names. */
function fixedSize(dimension: string | number, model: ModelShape): Dimension {
  switch (dimension) {
    case 'batch_size':
    case 'sequence_length':
    case 'past_sequence_length':
    case 'total_sequence_length':
    case 'num_logits':
      return dimension;
    case 'batch or 1':
      return 'delta_batch';
    case 'seq or 1':
      return 'delta_seq';
    case 'lens_k':
      return Math.min(contract.defaults.lens_k, model.vocab);
    case 'value_dim':
      return model.value_dim ?? model.head_dim;
  }
  if (typeof dimension === 'number') return dimension;
  const size: unknown = (model as unknown as Record<string, unknown>)[dimension];
  if (typeof size !== 'number') throw new RangeError(`no size is called ${dimension}`);
  return size;
}
