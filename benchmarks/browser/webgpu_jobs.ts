// What webgpu.py asks for, one session a visit, and what the page answers.

export interface WebgpuJob {
  readonly variant: string;
  /** `captured`: the static graph, whose steps the GPU records once and replays. */
  readonly way: 'decoder' | 'open' | 'edit' | 'activations' | 'static' | 'captured';
  readonly provider: 'webgpu' | 'wasm';
  /** Joints closed and taps opened. */
  readonly graph: string;
  readonly weights: readonly { readonly path: string; readonly url: string }[];
  /** Sizes of a cached tensor, (heads, width), for each input of the cache. */
  readonly cache: Readonly<Record<string, readonly [number, number]>>;
  /** Slots of a static graph's cache; null where it grows. */
  readonly cacheLength: number | null;
  /** Inputs of an edit, each one number everywhere. */
  readonly edit: readonly {
    readonly name: string;
    readonly dims: readonly number[];
    readonly value: number;
  }[];
  readonly vocab: number;
  readonly prompt: number;
  readonly steps: number;
  readonly rounds: number;
  readonly threads: number;
}

/** Times in milliseconds, memory in bytes. */
export interface WebgpuTimes {
  readonly session: number;
  /** The first run, of one token: shaders are compiled in it. */
  readonly first: number;
  readonly prefill: readonly number[];
  /** One for each token. */
  readonly step: readonly number[];
  readonly gpuPeak: number;
  /** The last step's largest logit, which every way must give alike. */
  readonly largest: number;
}

export interface AdapterFacts {
  readonly name: string;
  readonly software: boolean;
  readonly features: readonly string[];
}
