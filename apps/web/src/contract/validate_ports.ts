// Checks of a graph's document that a JSON schema cannot express: its inputs and outputs, and those of taps, follow
// from the model's sizes. The same rules in Python: oriel/contract/activation_contract.py and taps.py.
import {
  activationSpec,
  cacheOutputSpecs,
  inputSpecs,
  jointSpecs,
  LAYER_SIZES,
  layerShape,
  parseActivationName,
} from './activation_table';
import { isNewerMinor, isSupportedVersion } from './contract_version';
import type {
  ActivationsDocument,
  LayerSizes,
  Manifest,
  ModelShape,
  TensorSpec,
  Variant,
} from './generated';
import { graphsOf, sessionGraph } from './variant_graphs';

/** Return what is wrong with the documents and taps of a manifest, or null. */
export function unsoundVariants({ model, variants }: Manifest): string | null {
  for (const variant of variants) {
    for (const [graph, { activations }] of graphsOf(variant)) {
      if (!isSupportedVersion(activations.contract_version)) {
        return `variant ${variant.name}, ${graph}: of version ${activations.contract_version}`;
      }
      const problem =
        activations.graph === graph
          ? unsoundDocument(activations)
          : `its document is of a graph that is ${activations.graph}`;
      if (problem !== null) return `variant ${variant.name}, ${graph}: ${problem}`;
      if (!isSameShape(activations.model, model.shape)) {
        return `variant ${variant.name}, ${graph}: it has other sizes than the model`;
      }
    }
    const problem = unsoundTaps(variant);
    if (problem !== null) return `variant ${variant.name}: ${problem}`;
  }
  return null;
}

/** Return what is wrong with the inputs, outputs and joints of a document that is valid by its schema, or null. */
export function unsoundDocument({
  contract_version: version,
  graph,
  model,
  cache_length: cacheLength = 0,
  inputs,
  outputs,
  joints,
}: ActivationsDocument): string | null {
  const contradiction = unsoundShape(model, graph);
  if (contradiction !== null) return contradiction;
  if (cacheLength > model.context_length) return 'its cache is longer than the context';
  const expected = new Map(inputSpecs(model, graph, version).map((spec) => [spec.name, spec]));
  const given = new Set(inputs.map(({ name }) => name));
  if (given.size !== inputs.length) return 'an input stands twice';
  const wrong = inputs.find((port) => !isSame(port, expected.get(port.name)));
  if (wrong !== undefined) return `input ${wrong.name} does not follow from the model`;
  for (const name of expected.keys()) if (!given.has(name)) return `it has no input ${name}`;
  const cache = new Map(
    (graph === 'plain' ? [] : cacheOutputSpecs(model, version)).map((spec) => [spec.name, spec]),
  );
  const seen = outputNames(outputs, model, version, cache);
  if (typeof seen === 'string') return `output ${seen}`;
  for (const name of cache.keys()) if (!seen.has(name)) return `it has no output ${name}`;
  return joints === undefined ? null : unsoundJoints(joints, model, version);
}

/** Return an error where an open graph lacks a joint of the table, or has another one; a newer minor may have more. */
function unsoundJoints(
  joints: readonly TensorSpec[],
  model: ModelShape,
  version: string,
): string | null {
  const given = outputNames(joints, model, version, new Map());
  if (typeof given === 'string') return `joint ${given}`;
  const expected = new Set(jointSpecs(model).map(({ name }) => name));
  for (const name of expected) if (!given.has(name)) return `it has no joint ${name}`;
  const other = isNewerMinor(version) ? undefined : [...given].find((name) => !expected.has(name));
  return other === undefined ? null : `${other} is no joint`;
}

/** Return what is wrong with a model's sizes that keep their schema, or null. */
function unsoundShape(shape: ModelShape, graph: ActivationsDocument['graph']): string | null {
  const { layers, layer_sizes: sizes } = shape;
  if (sizes !== undefined && sizes.length !== layers) {
    return `layer_sizes for ${sizes.length} of ${layers} layers`;
  }
  if (shape.bidirectional === true && (graph === 'static' || graph === 'interactive')) {
    return `a ${graph} graph, which has a cache, of a bidirectional model`;
  }
  if (shape.pooled === true && (shape.labels ?? 0) === 0) {
    return 'logits of whole texts, over no labels';
  }
  for (let layer = 0; layer < (sizes?.length ?? 1); layer++) {
    const { experts = 0, active_experts: active = 0 } = layerShape(shape, layer);
    if (experts > 0 && !(active >= 1 && active <= experts)) {
      return `${active} active_experts of ${experts} experts`;
    }
  }
  return null;
}

function unsoundTaps(variant: Variant): string | null {
  const { model, contract_version: version, outputs } = sessionGraph(variant).activations;
  const given = outputNames(
    variant.taps.flatMap((tap) => tap.outputs),
    model,
    version,
    new Map(),
  );
  if (typeof given === 'string') return `taps: output ${given}`;
  const twice = outputs.find(({ name }) => given.has(name));
  return twice === undefined ? null : `a tap gives ${twice.name}, which the graph gives already`;
}

/** Return the names of these tensors as a set, or as a string the name of one and what is wrong with it. */
function outputNames(
  outputs: readonly TensorSpec[],
  model: ModelShape,
  version: string,
  cache: ReadonlyMap<string, TensorSpec>,
): Set<string> | string {
  const isNewer = isNewerMinor(version);
  const seen = new Set<string>();
  for (const output of outputs) {
    const { name } = output;
    const wanted = cache.get(name) ?? activationSpec(name, model, version) ?? undefined;
    // A newer minor may have activations that this table doesn't.
    const isUnknown = name.startsWith('layer_') && parseActivationName(name) === null;
    if (!isSame(output, wanted) && !(isNewer && isUnknown)) {
      return `${name} does not follow from the model`;
    }
    if (seen.has(name)) return `${name} stands twice`;
    seen.add(name);
  }
  return seen;
}

function isSame(a: TensorSpec, b: TensorSpec | undefined): boolean {
  return (
    a.dtype === b?.dtype &&
    a.shape.length === b.shape.length &&
    a.shape.every((size, at) => size === b.shape[at])
  );
}

/** Sizes and properties, each with what it is where it is absent. */
const ABSENT_SIZES = {
  layers: 0,
  hidden: 0,
  heads: 0,
  kv_heads: 0,
  head_dim: 0,
  intermediate: 0,
  vocab: 0,
  context_length: 0,
  parallel_residual: false,
  value_dim: 0,
  gated_mlp: false,
  raw_outputs: false,
  attention_sinks: false,
  bidirectional: false,
  post_norm: false,
  token_types: 0,
  labels: 0,
  pooled: false,
  window: 0,
  experts: 0,
  active_experts: 0,
} as const satisfies Record<Exclude<keyof ModelShape, 'layer_sizes'>, number | boolean>;

function isSameShape(a: ModelShape, b: ModelShape): boolean {
  const names = Object.keys(ABSENT_SIZES) as (keyof typeof ABSENT_SIZES)[];
  const isSameSize = names.every(
    (name) => (a[name] ?? ABSENT_SIZES[name]) === (b[name] ?? ABSENT_SIZES[name]),
  );
  return isSameSize && isSameLayers(a.layer_sizes ?? [], b.layer_sizes ?? []);
}

function isSameLayers(a: readonly LayerSizes[], b: readonly LayerSizes[]): boolean {
  return (
    a.length === b.length &&
    a.every((sizes, layer) => {
      const other = b[layer] ?? {};
      return LAYER_SIZES.every((name) => sizes[name] === other[name]);
    })
  );
}
