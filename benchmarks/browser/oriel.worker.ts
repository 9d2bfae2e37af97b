// Times one variant of a bundle: the page's runtime, and the page's own way from encoded weights to what graphs read.
import * as ort from 'onnxruntime-web/wasm';
import wasmModule from 'onnxruntime-web/ort-wasm-simd-threaded.mjs?url';
import wasmBinary from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url';
import { ExpandedRanges } from '../../apps/web/src/bundle/weights/expanded_ranges';
import { cachePairs } from '../../apps/web/src/contract/activation_table';
import { answerJobs, milliseconds, timed } from './clock';
import { tokenIds, type Answer, type VariantJob } from './jobs';

answerJobs(measure);

async function measure(job: VariantJob): Promise<Answer> {
  ort.env.wasm.numThreads = job.threads;
  ort.env.wasm.wasmPaths = {
    mjs: new URL(wasmModule, self.location.href).href,
    wasm: new URL(wasmBinary, self.location.href).href,
  };
  const graph = await fetchBytes(job, job.graph);
  const files = await Promise.all(job.weights.map((path) => fetchBytes(job, path)));
  const { expand, externalData } = readWeights(job, files);
  const began = performance.now();
  const session = await ort.InferenceSession.create(graph, {
    executionProviders: ['wasm'],
    externalData,
    graphOptimizationLevel: 'all',
  });
  const opened = milliseconds(began);
  const { layers } = job.shape;
  const neutral = neutralFeeds(session, job);
  const run = (
    ids: readonly number[],
    lastOnly: boolean,
    cache?: ort.InferenceSession.ReturnType,
  ) => {
    const feeds: Record<string, ort.Tensor> = { ...neutral };
    feeds['input_ids'] = new ort.Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]);
    const past = cache ? (outputOf(cache, 'present.0.key').dims[2] ?? 0) : 0;
    const positions = Array.from(ids, (_, index) => BigInt(past + index));
    const mask = new BigInt64Array(past + ids.length).fill(1n);
    feeds['position_ids'] = new ort.Tensor('int64', BigInt64Array.from(positions), [1, ids.length]);
    feeds['attention_mask'] = new ort.Tensor('int64', mask, [1, mask.length]);
    feeds['num_logits_to_keep'] = new ort.Tensor('int64', BigInt64Array.of(lastOnly ? 1n : 0n), []);
    if (cache) {
      for (const { input, output } of cachePairs(layers)) feeds[input] = outputOf(cache, output);
    }
    return session.run(feeds);
  };
  const ids = tokenIds(job.tokens + 1, job.shape.vocab);
  const prompt = ids.slice(0, -1);
  const half = Math.ceil(job.prompts / 2);
  const runAll = () => timed(half, () => run(prompt, false));
  const runLast = () => timed(half, () => run(prompt, true));
  const early = job.lastFirst ? await runLast() : null;
  const all = await runAll();
  const last = early ?? (await runLast());
  const step = await timed(job.steps, () => run(ids.slice(-1), true, all.result));
  const recompute = await timed(half, () => run(ids, true));
  const lastLogits = (outputs: ort.InferenceSession.ReturnType): number[] =>
    Array.from((outputOf(outputs, 'logits').data as Float32Array).slice(-job.shape.vocab));
  return {
    timings: {
      expand,
      session: opened,
      all: all.times,
      last: last.times,
      lastFirst: job.lastFirst,
      step: step.times,
      recompute: recompute.times,
    },
    stepLogits: lastLogits(step.result),
    recomputeLogits: lastLogits(recompute.result),
  };
}

function readWeights(
  { weights, expansion }: VariantJob,
  files: readonly Uint8Array<ArrayBuffer>[],
): { expand: number | null; externalData: { path: string; data: Uint8Array }[] } {
  if (expansion === null) {
    const data = files.map((data, index) => ({ path: weights[index] ?? '', data }));
    return { expand: null, externalData: data };
  }
  const [encoded = new Uint8Array()] = files;
  const began = performance.now();
  const ranges = new ExpandedRanges(expansion, {
    bytes: encoded.length,
    read: (into, at) => {
      into.set(encoded.subarray(at, at + into.length));
    },
  });
  const data = new Uint8Array(expansion.bytes);
  ranges.read(data, 0);
  return { expand: milliseconds(began), externalData: [{ path: expansion.path, data }] };
}

/** Make an empty cache. */
function neutralFeeds(
  session: ort.InferenceSession,
  { shape }: VariantJob,
): Record<string, ort.Tensor> {
  const { kv_heads: keyHeads, head_dim: width } = shape;
  const float = (fill: number, ...dims: number[]): ort.Tensor => {
    const size = dims.reduce((product, dim) => product * dim, 1);
    return new ort.Tensor('float32', new Float32Array(size).fill(fill), dims);
  };
  const feeds: Record<string, ort.Tensor> = {};
  for (const name of session.inputNames) {
    if (name.startsWith('past_key_values')) feeds[name] = float(0, 1, keyHeads, 0, width);
  }
  return feeds;
}

function outputOf(outputs: ort.InferenceSession.ReturnType, name: string): ort.Tensor {
  const tensor = outputs[name];
  if (tensor === undefined) throw new Error(`no output ${name}`);
  return tensor;
}

async function fetchBytes({ folder }: VariantJob, path: string): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(`/files/${folder}/${path}`);
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}
