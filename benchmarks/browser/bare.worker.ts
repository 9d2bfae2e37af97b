// Loads a model with the least possible work, as a baseline: downloads each file whole, expands it if the variant needs
// it, and creates the session. Nothing is verified, cached or resumed.
import * as ort from 'onnxruntime-web/wasm';
import wasmModule from 'onnxruntime-web/ort-wasm-simd-threaded.mjs?url';
import wasmBinary from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url';
import { ExpandedRanges } from '../../apps/web/src/bundle/weights/expanded_ranges';
import type { Expansion } from '../../apps/web/src/contract/generated';
import { milliseconds } from './clock';

export interface BareJob {
  readonly graph: string;
  readonly weights: string;
  /** Name of the weights file in the graph. */
  readonly location: string;
  readonly expansion: Expansion | null;
  readonly threads: number;
}

export interface BareTimes {
  readonly fetch: number;
  /** Milliseconds, including expansion. */
  readonly session: number;
}

/** A graph of y = x + x, run to start the runtime before the time is taken. */
const probeGraph =
  'CAg6NQoOCgF4CgF4EgF5IgNBZGQSAWdaDwoBeBIKCggIARIECgIIAWIPCgF5EgoKCAgBEgQKAggBQgQKABAR';

self.onmessage = ({ data }: MessageEvent<BareJob>) => {
  load(data).then(
    (times) => {
      self.postMessage({ times });
    },
    (error: unknown) => {
      self.postMessage({ error: String(error) });
    },
  );
};

async function load({ graph, weights, location, expansion, threads }: BareJob): Promise<BareTimes> {
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = {
    mjs: new URL(wasmModule, self.location.href).href,
    wasm: new URL(wasmBinary, self.location.href).href,
  };
  const probe = Uint8Array.from(atob(probeGraph), (character) => character.charCodeAt(0));
  await (await ort.InferenceSession.create(probe)).release();
  await new Promise((resolve) => setTimeout(resolve, 2500));
  const began = performance.now();
  const [model, fetchedBytes] = await Promise.all([bytesOf(graph), bytesOf(weights)]);
  const fetched = milliseconds(began);
  const data = expansion === null ? fetchedBytes : expanded(expansion, fetchedBytes);
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ['wasm'],
    externalData: [{ path: location, data }],
    graphOptimizationLevel: 'all',
  });
  const times = { fetch: fetched, session: milliseconds(began) - fetched };
  if (session.outputNames.length === 0) throw new Error('the session has no outputs');
  return times;
}

function expanded(expansion: Expansion, encoded: Uint8Array): Uint8Array<ArrayBuffer> {
  const ranges = new ExpandedRanges(expansion, {
    bytes: encoded.length,
    read: (into, at) => {
      into.set(encoded.subarray(at, at + into.length));
    },
  });
  const data = new Uint8Array(expansion.bytes);
  ranges.read(data, 0);
  return data;
}

async function bytesOf(path: string): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}
