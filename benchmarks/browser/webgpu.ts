// Measures one session: creating it, its first run, a prompt, and steps of one token. It calls the runtime alone, as
// the page's engine does, or with the cache in place when the GPU replays a recorded step.
import type * as Ort from 'onnxruntime-web';
import jspiModule from 'onnxruntime-web/ort-wasm-simd-threaded.jspi.mjs?url';
import jspiWasm from 'onnxruntime-web/ort-wasm-simd-threaded.jspi.wasm?url';
import wasmModule from 'onnxruntime-web/ort-wasm-simd-threaded.mjs?url';
import wasmWasm from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url';
import { milliseconds } from './clock';
import { countGpuMemory } from './gpu_memory';
import type { AdapterFacts, WebgpuJob, WebgpuTimes } from './webgpu_jobs';

declare global {
  var findAdapter: () => Promise<AdapterFacts | string>;
  var measureJob: (job: WebgpuJob) => Promise<WebgpuTimes>;
}

const memory = countGpuMemory();
type Tensors = Record<string, Ort.Tensor>;

globalThis.findAdapter = async () => {
  // The property is missing on insecure pages and in browsers without WebGPU.
  const { gpu } = navigator as { gpu?: GPU };
  if (gpu === undefined) return 'this browser has no WebGPU';
  const adapter = await gpu.requestAdapter();
  if (adapter === null) return 'WebGPU found no adapter';
  const { vendor, architecture, device, description } = adapter.info;
  const name = [vendor, architecture, device, description].filter(Boolean).join(' ');
  const software = /swiftshader|llvmpipe|lavapipe|software/i.test(name);
  return { name, software, features: [...adapter.features] };
};

globalThis.measureJob = async (job) => {
  const ort = await loadRuntime(job);
  const began = performance.now();
  const session = await openSession(ort, job, false);
  const sessionMs = milliseconds(began);
  const reader = new Reader(ort, session, job);
  const first = await reader.timedRun([0]);
  const prefill: number[] = [];
  const text = Array.from({ length: job.prompt }, (_, index) => (index * 7 + 3) % job.vocab);
  // The first run compiles the shaders for its sizes.
  for (let round = 0; round <= job.rounds; round++) {
    reader.restart();
    const taken = await reader.timedRun(text);
    if (round > 0) prefill.push(taken);
  }
  const replay = job.way === 'captured' ? await Replay.after(ort, job, reader) : null;
  const step: number[] = [];
  const next = (index: number): number => (index * 5 + 1) % job.vocab;
  // The first step compiles the shaders for its sizes, or records the step.
  for (let index = 0; index <= job.steps; index++) {
    const taken = await (replay?.timedStep(next(index)) ?? reader.timedRun([next(index)]));
    if (index > 0) step.push(taken);
  }
  const logits = replay?.logits ?? reader.logits;
  const largest = logits.reduce((most, value) => Math.max(most, value), -Infinity);
  return { session: sessionMs, first, prefill, step, gpuPeak: memory.peak, largest };
};

async function loadRuntime({ provider, threads }: WebgpuJob): Promise<typeof Ort> {
  const isGpu = provider === 'webgpu';
  const ort = await (isGpu ? import('onnxruntime-web/jspi') : import('onnxruntime-web/wasm'));
  const [mjs, wasm] = isGpu ? [jspiModule, jspiWasm] : [wasmModule, wasmWasm];
  const absolute = (path: string): string => new URL(path, location.href).href;
  ort.env.wasm.wasmPaths = { mjs: absolute(mjs), wasm: absolute(wasm) };
  ort.env.wasm.numThreads = isGpu ? 1 : threads;
  return ort;
}

async function openSession(
  ort: typeof Ort,
  { graph, weights, provider, cache }: WebgpuJob,
  isCaptured: boolean,
): Promise<Ort.InferenceSession> {
  const present = Object.keys(cache).map((name) => name.replace('past_key_values', 'present'));
  return ort.InferenceSession.create(await bytesOf(graph), {
    // The runtime ignores `enableGraphCapture` unless the provider is an object.
    executionProviders: [{ name: provider }],
    externalData: await Promise.all(
      weights.map(async ({ path, url }) => ({ path, data: await bytesOf(url) })),
    ),
    graphOptimizationLevel: 'all',
    ...(provider === 'webgpu' && {
      preferredOutputLocation: isCaptured
        ? 'gpu-buffer'
        : Object.fromEntries(present.map((name) => [name, 'gpu-buffer'] as const)),
    }),
    ...(isCaptured && {
      enableGraphCapture: true,
      // These make all shapes constant, so no node runs on the CPU.
      freeDimensionOverrides: { batch_size: 1, sequence_length: 1 },
    }),
  });
}

/** Feeds a text piece by piece, each with the previous piece's cache. */
class Reader {
  logits = new Float32Array();
  #end = 0;
  #past: Tensors = {};

  readonly #ort: typeof Ort;
  readonly #session: Ort.InferenceSession;
  readonly #job: WebgpuJob;

  constructor(ort: typeof Ort, session: Ort.InferenceSession, job: WebgpuJob) {
    this.#ort = ort;
    this.#session = session;
    this.#job = job;
  }

  get end(): number {
    return this.#end;
  }

  get past(): Tensors {
    return this.#past;
  }

  restart(): void {
    for (const tensor of Object.values(this.#past)) tensor.dispose();
    this.#past = {};
    this.#end = 0;
  }

  async timedRun(ids: readonly number[]): Promise<number> {
    const [ort, job, session] = [this.#ort, this.#job, this.#session];
    const [start, end] = [this.#end, this.#end + ids.length];
    const positions = ids.map((_, index) => start + index);
    const length = job.cacheLength ?? end;
    const feeds: Tensors = {
      input_ids: integers(ort, ids, [1, ids.length]),
      attention_mask: new ort.Tensor('int64', maskOf(length, end), [1, length]),
      position_ids: integers(ort, positions, [1, ids.length]),
      ...(start === 0 ? this.#empty() : this.#past),
    };
    for (const { name, dims, value } of job.edit) {
      const size = dims.reduce((product, dim) => product * dim, 1);
      feeds[name] = new ort.Tensor('float32', new Float32Array(size).fill(value), dims);
    }
    if (session.inputNames.includes('cache_position'))
      feeds['cache_position'] = integers(ort, positions, [ids.length]);
    if (session.inputNames.includes('num_logits_to_keep'))
      feeds['num_logits_to_keep'] = integers(ort, [1], []);
    const began = performance.now();
    const outputs = await session.run(feeds);
    this.logits = lastRow((await outputs['logits']?.getData()) as Float32Array, job.vocab);
    const taken = milliseconds(began);
    const before = this.#past;
    this.#past = {};
    for (const name of Object.keys(job.cache)) {
      const tensor = outputs[name.replace('past_key_values', 'present')];
      if (tensor === undefined) throw new Error(`the graph gives no ${name}`);
      this.#past[name] = tensor;
    }
    for (const tensor of Object.values(before)) tensor.dispose();
    this.#end = end;
    return taken;
  }

  #empty(): Tensors {
    const length = this.#job.cacheLength ?? 0;
    return Object.fromEntries(
      Object.entries(this.#job.cache).map(([name, [heads, width]]) => {
        const zeros = new Float32Array(heads * length * width);
        return [name, new this.#ort.Tensor('float32', zeros, [1, heads, length, width])] as const;
      }),
    );
  }
}

/**
 * Replays one recorded step: all buffers stay in place, and only their contents change. The cache is written in place,
 * since the buffers that the prompt's run returned are used as inputs and outputs at once. The runtime keeps only such
 * buffers from run to run.
 */
class Replay {
  logits = new Float32Array();
  readonly #inputs: Readonly<Record<string, GPUBuffer>>;
  readonly #feeds: Tensors;
  readonly #fetches: Record<string, Ort.Tensor | null>;
  #end: number;

  readonly #session: Ort.InferenceSession;
  readonly #device: GPUDevice;
  readonly #job: WebgpuJob;

  private constructor(
    session: Ort.InferenceSession,
    device: GPUDevice,
    ort: typeof Ort,
    job: WebgpuJob,
    reader: Reader,
  ) {
    this.#session = session;
    this.#device = device;
    this.#job = job;
    const length = job.cacheLength ?? 0;
    const shapes = {
      input_ids: [1, 1],
      position_ids: [1, 1],
      cache_position: [1],
      attention_mask: [1, length],
    };
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const inputs: Record<string, GPUBuffer> = {};
    this.#feeds = { ...reader.past };
    this.#fetches = { logits: null };
    for (const [name, dims] of Object.entries(shapes)) {
      const bytes = 8 * dims.reduce((product, dim) => product * dim, 1);
      const buffer = device.createBuffer({ size: 16 * Math.ceil(bytes / 16), usage });
      inputs[name] = buffer;
      this.#feeds[name] = ort.Tensor.fromGpuBuffer(buffer, { dataType: 'int64', dims });
    }
    for (const [name, tensor] of Object.entries(reader.past))
      this.#fetches[name.replace('past_key_values', 'present')] = tensor;
    this.#inputs = inputs;
    this.#end = reader.end;
  }

  static async after(ort: typeof Ort, job: WebgpuJob, reader: Reader): Promise<Replay> {
    const session = await openSession(ort, job, true);
    return new Replay(session, await ort.env.webgpu.device, ort, job, reader);
  }

  async timedStep(id: number): Promise<number> {
    const at = BigInt(this.#end);
    this.#end++;
    const began = performance.now();
    this.#write('input_ids', BigInt64Array.of(BigInt(id)));
    this.#write('position_ids', BigInt64Array.of(at));
    this.#write('cache_position', BigInt64Array.of(at));
    this.#write('attention_mask', maskOf(this.#job.cacheLength ?? 0, this.#end));
    const outputs = await this.#session.run(this.#feeds, this.#fetches);
    this.logits = lastRow((await outputs['logits']?.getData()) as Float32Array, this.#job.vocab);
    return milliseconds(began);
  }

  #write(name: string, values: BigInt64Array<ArrayBuffer>): void {
    const buffer = this.#inputs[name];
    if (buffer === undefined) throw new Error(`no buffer for ${name}`);
    this.#device.queue.writeBuffer(buffer, 0, values);
  }
}

function maskOf(length: number, end: number): BigInt64Array<ArrayBuffer> {
  return new BigInt64Array(length).fill(1n, 0, end);
}

function integers(ort: typeof Ort, values: readonly number[], dims: readonly number[]): Ort.Tensor {
  return new ort.Tensor('int64', BigInt64Array.from(values, BigInt), dims);
}

function lastRow(logits: Float32Array, vocab: number): Float32Array<ArrayBuffer> {
  return Float32Array.from(logits.subarray(-vocab));
}

async function bytesOf(path: string): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}
