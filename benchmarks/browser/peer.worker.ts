// Times transformers.js on a model that was made for it, called as its own generation calls it.
import { answerJobs, milliseconds, timed } from './clock';
import { tokenIds, type Answer, type PeerJob } from './jobs';

/** The little of transformers.js that is used here; it is installed apart from the page's packages. */
interface Library {
  readonly env: {
    allowLocalModels: boolean;
    allowRemoteModels: boolean;
    localModelPath: string;
    useBrowserCache: boolean;
    useWasmCache: boolean;
    fetch: (address: string | URL) => Promise<Response>;
    backends: { onnx: { wasm: { numThreads: number; wasmPaths: { mjs: string; wasm: string } } } };
  };
  readonly Tensor: new (type: 'int64', data: BigInt64Array, dims: number[]) => PeerTensor;
  readonly DynamicCache: new (entries: Readonly<Record<string, PeerTensor>>) => object;
  readonly AutoModelForCausalLM: {
    from_pretrained(name: string, options: { dtype: string; device: 'wasm' }): Promise<Model>;
  };
}
interface PeerTensor {
  readonly data: Float32Array;
}
type Outputs = Readonly<Record<string, PeerTensor>> & { readonly logits: PeerTensor };
type Model = (inputs: Readonly<Record<string, unknown>>) => Promise<Outputs>;

answerJobs(measure);

async function measure(job: PeerJob): Promise<Answer> {
  const packages = `${self.location.origin}/files/${job.packages}`;
  const library = (await import(
    /* @vite-ignore */ `${packages}/@huggingface/transformers/dist/transformers.min.js`
  )) as Library;
  const { env, Tensor, DynamicCache } = library;
  env.allowLocalModels = true;
  env.allowRemoteModels = false;
  env.localModelPath = `/files/${job.models}/`;
  env.useBrowserCache = false;
  env.useWasmCache = false;
  const { wasm } = env.backends.onnx;
  wasm.numThreads = job.threads;
  const runtime = `${packages}/onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify`;
  wasm.wasmPaths = { mjs: `${runtime}.mjs`, wasm: `${runtime}.wasm` };
  // Fetched beforehand: what is timed is the making of the session.
  const files = new Map<string, ArrayBuffer>();
  for (const path of job.files) {
    const address = `/files/${job.models}/${job.model}/${path}`;
    const response = await fetch(address);
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    files.set(address, await response.arrayBuffer());
  }
  env.fetch = (address) => {
    const bytes = files.get(new URL(address, self.location.origin).pathname);
    return bytes === undefined
      ? fetch(address)
      : Promise.resolve(
          new Response(bytes, { headers: { 'Content-Length': String(bytes.byteLength) } }),
        );
  };
  const began = performance.now();
  const model = await library.AutoModelForCausalLM.from_pretrained(job.model, {
    dtype: job.dtype,
    device: 'wasm',
  });
  const opened = milliseconds(began);
  const integers = (values: readonly number[]): PeerTensor =>
    new Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
  const run = (ids: readonly number[], past: number, cache: object | null): Promise<Outputs> =>
    model({
      input_ids: integers(ids),
      attention_mask: integers(new Array<number>(past + ids.length).fill(1)),
      past_key_values: cache,
    });
  const ids = tokenIds(job.tokens + 1, job.vocab);
  const prompt = ids.slice(0, -1);
  const all = await timed(job.prompts, () => run(prompt, 0, null));
  const cache = new DynamicCache(
    Object.fromEntries(
      Object.entries(all.result)
        .filter(([name]) => name.startsWith('present.'))
        .map(([name, tensor]) => [name.replace('present', 'past_key_values'), tensor]),
    ),
  );
  const step = await timed(job.steps, () => run(ids.slice(-1), prompt.length, cache));
  const recompute = await timed(Math.ceil(job.prompts / 2), () => run(ids, 0, null));
  const lastLogits = ({ logits }: Outputs): number[] => Array.from(logits.data.slice(-job.vocab));
  return {
    timings: {
      expand: null,
      session: opened,
      all: all.times,
      last: null,
      lastFirst: false,
      step: step.times,
      recompute: recompute.times,
    },
    stepLogits: lastLogits(step.result),
    recomputeLogits: lastLogits(recompute.result),
  };
}
