// Loads one build of ONNX Runtime Web and proves that its provider works. Choosing it is provider.ts.
import type * as Ort from 'onnxruntime-web';
import asyncifyModule from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.mjs?url';
import asyncifyWasm from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url';
import jspiModule from 'onnxruntime-web/ort-wasm-simd-threaded.jspi.mjs?url';
import jspiWasm from 'onnxruntime-web/ort-wasm-simd-threaded.jspi.wasm?url';
import wasmModule from 'onnxruntime-web/ort-wasm-simd-threaded.mjs?url';
import wasmWasm from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url';
import { keepRuntime } from '../host/keep_runtime';
import { wasmThreads } from './device';
import { KeptDevice } from './kept_device';
import { messageOf, ModelError } from './model_error';
import type { Provider } from './model_types';
import { watchArrival } from './runtime_arrival';
import { keepThreads } from './runtime_threads';

export interface Runtime {
  readonly ort: typeof Ort;
  readonly provider: Provider;
  readonly threads: number;
  readonly version: string;
  /** null on wasm. */
  readonly keptDevice: KeptDevice | null;
}

/** y = x + x, as a serialized ModelProto of opset 17: about the smallest graph that proves a provider works. */
const probeGraph =
  'CAg6NQoOCgF4CgF4EgF5IgNBZGQSAWdaDwoBeBIKCggIARIECgIIAWIPCgF5EgoKCAgBEgQKAggBQgQKABAR';

interface Build {
  readonly load: () => Promise<typeof Ort>;
  readonly mjs: string;
  readonly wasm: string;
}

/** Return the build for a provider. Only this one is fetched, as builds are 14 to 27 MB. */
function buildFor(provider: Provider): Build {
  const absolute = (path: string): string => new URL(path, self.location.href).href;
  if (provider === 'wasm') {
    const load = (): Promise<typeof Ort> => import('onnxruntime-web/wasm');
    return { load, mjs: absolute(wasmModule), wasm: absolute(wasmWasm) };
  }
  // With JSPI the engine itself waits for the GPU, and the build is 10 MB smaller.
  return 'Suspending' in WebAssembly
    ? {
        load: () => import('onnxruntime-web/jspi'),
        mjs: absolute(jspiModule),
        wasm: absolute(jspiWasm),
      }
    : {
        load: () => import('onnxruntime-web/webgpu'),
        mjs: absolute(asyncifyModule),
        wasm: absolute(asyncifyWasm),
      };
}

/**
 * Load the runtime. Rejects with kind `provider-unavailable`, or as downloads do where the host does not serve the
 * runtime's files; calls `onLife` as they arrive, where that takes long.
 */
export async function loadRuntime(provider: Provider, onLife: () => void): Promise<Runtime> {
  const build = buildFor(provider);
  const started = new AbortController();
  const missing = new Promise<never>((_resolve, reject) => {
    watchArrival([build.mjs, build.wasm], started.signal, onLife).catch(reject);
  });
  try {
    return await Promise.race([start(build, provider), missing]);
  } finally {
    started.abort();
  }
}

async function start({ load, mjs, wasm }: Build, provider: Provider): Promise<Runtime> {
  try {
    const ort = await load();
    const threads = provider === 'wasm' ? wasmThreads() : 1;
    if (threads > 1) keepThreads();
    ort.env.logLevel = 'error';
    ort.env.wasm.numThreads = threads;
    ort.env.wasm.wasmPaths = { mjs, wasm };
    const keptDevice = await probe(ort, provider);
    void keepRuntime();
    const version = ort.env.versions.web ?? 'unknown';
    return { ort, provider, threads, version, keptDevice };
  } catch (cause) {
    const detail = messageOf(cause);
    throw new ModelError({ kind: 'provider-unavailable', provider, detail }, { cause });
  }
}

/**
 * Start the runtime while the model is still downloading; a failure is separate from the model's. Return what keeps the
 * GPU's device, or null on wasm.
 */
async function probe(ort: typeof Ort, provider: Provider): Promise<KeptDevice | null> {
  const graph = Uint8Array.from(atob(probeGraph), (character) => character.charCodeAt(0));
  const make = (): Promise<Ort.InferenceSession> =>
    ort.InferenceSession.create(graph, { executionProviders: [provider] });
  const session = await make();
  const { y } = await session.run({ x: new ort.Tensor('float32', [21], [1]) });
  const [sum] = (await y?.getData()) as Float32Array;
  y?.dispose();
  if (sum !== 42)
    throw new Error(`the provider computes wrongly: 21 + 21 gave ${sum ?? 'nothing'}`);
  if (provider === 'webgpu') return new KeptDevice(session, make);
  await session.release();
  return null;
}
