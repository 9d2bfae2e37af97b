// Makes a session of the runtime: the graph with what is appended to it, the weights beside it, and what every run is
// fed. model_runner.ts decides when.
import type * as Ort from 'onnxruntime-web';
import { fileOf } from '../bundle/download/download';
import type { OpenWeights } from '../bundle/weights/weights_file';
import { sessionGraph } from '../contract/variant_graphs';
import { attributionFeeds, type OpenAttribution } from './attribution';
import type { ClosingSlots } from './closing_slots';
import { nodesOf } from './graph_nodes';
import { cacheNames, protocolOf, type Feeds, type SessionInputs } from './graph_protocols';
import { withDictionaries, type LoadedDictionary } from './load_dictionary';
import { throughLens, type LoadedLens } from './load_lens';
import type { LoadedModel } from './load_model';
import type { Provider } from './model_types';
import { concatenated, openTaps } from './taps';

export interface Session {
  readonly session: Ort.InferenceSession;
  /** Names of the activations that the page asked for. */
  readonly names: readonly string[];
  /** Names of those that sweeps put in, beside them: runs don't give them. */
  readonly more: readonly string[];
  /** Outputs that are neither logits nor cache. */
  readonly activations: readonly string[];
  readonly lens: LoadedLens | null;
  /** Those whose features are among `names` and `more`. */
  readonly dictionaries: readonly LoadedDictionary[];
  readonly inputs: SessionInputs;
  /** null where it has no taps of attribution. */
  readonly attribution: OpenAttribution | null;
  /** The feeds of every run: an empty cache, and edits that change nothing. */
  readonly neutral: Readonly<Feeds>;
  readonly weightBytes: number;
}

/** The outputs, closings, lens, dictionaries and taps of attribution of a session to make. */
export type WantedSession = Pick<
  Session,
  'names' | 'more' | 'lens' | 'dictionaries' | 'attribution'
> & {
  readonly slots: ClosingSlots;
};

/** The graph of a session to make. */
export interface WantedGraph {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The requested names that are activations: outputs that are neither logits nor cache. */
  readonly activations: readonly string[];
}

/** Append to the model's graph what is wanted. Throws a ModelError of kind `unknown-activation`. */
export function wantedGraph(
  { variant, files }: LoadedModel,
  { names, more, slots, lens, dictionaries, attribution }: WantedSession,
): WantedGraph {
  const file = fileOf(files, sessionGraph(variant).path);
  const seen = withDictionaries(throughLens(variant, lens), dictionaries);
  const { activations } = openTaps(seen, file, names, slots);
  const { parts } = openTaps(seen, file, [...names, ...more], slots, attribution);
  return { bytes: concatenated(parts), activations };
}

/** Make the session. Rejects with the runtime's error, or with what reading the weights failed with. */
export async function makeSession(
  { variant, runtime }: LoadedModel,
  { names, more, slots, lens, dictionaries, attribution }: WantedSession,
  { bytes, activations }: WantedGraph,
  weights: readonly OpenWeights[],
): Promise<Session> {
  const { activations: document } = sessionGraph(variant);
  let session: Ort.InferenceSession;
  try {
    session = await runtime.ort.InferenceSession.create(bytes, {
      ...providerOptions(runtime.provider, bytes, cacheNames(document)),
      externalData: [
        ...weights.map(({ path, data }) => ({ path, data })),
        ...(lens === null ? [] : [{ path: lens.record.path, data: lens.bytes }]),
        ...dictionaries.map(({ record, bytes: data }) => ({ path: record.path, data })),
      ],
      graphOptimizationLevel: 'all',
    });
  } catch (cause) {
    throw weights.map((file) => file.error()).find((error) => error !== null) ?? cause;
  }
  const inputs = { document, slots, names: session.inputNames };
  const neutral = {
    ...protocolOf(document).neutral(runtime.ort, inputs),
    ...attributionFeeds(runtime.ort, null, attribution),
  };
  const weightBytes = weights.reduce((sum, { data }) => sum + data.byteLength, 0);
  return {
    ...{ session, names, more, activations, lens, dictionaries },
    ...{ inputs, attribution, neutral, weightBytes },
  };
}

/**
 * WGSL guarantees little accuracy of sine and cosine: rotary angles came out wrong by 4e-4, growing with
 * the position. They are a few numbers for each token, so the CPU computes them. Where they are a table, which the
 * runtime folds as it loads the graph, none is left by then.
 */
const operatorsForCpu = new Set(['Sin', 'Cos']);

function providerOptions(
  provider: Provider,
  graph: Uint8Array<ArrayBuffer>,
  cache: readonly { readonly output: string }[],
): Pick<Ort.InferenceSession.SessionOptions, 'executionProviders' | 'preferredOutputLocation'> {
  if (provider === 'wasm') return { executionProviders: ['wasm'] };
  const forceCpuNodeNames = nodesOf(graph, operatorsForCpu);
  return {
    executionProviders: [
      // The runtime refuses a list of no names.
      { name: 'webgpu', ...(forceCpuNodeNames.length > 0 && { forceCpuNodeNames }) },
    ],
    // The cache stays where the next run reads it; activations come to the page.
    preferredOutputLocation: Object.fromEntries(
      cache.map(({ output }) => [output, 'gpu-buffer'] as const),
    ),
  };
}
