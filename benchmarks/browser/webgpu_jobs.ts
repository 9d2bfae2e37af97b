// The jobs of webgpu.py, one session for each visit of the page, and the results that the page returns.

export interface WebgpuJob {
  readonly variant: string;
  /** `captured`: the static graph, whose steps the GPU records once and replays. */
  readonly way: 'decoder' | 'open' | 'edit' | 'activations' | 'static' | 'captured';
  readonly provider: 'webgpu' | 'wasm';
  /** The graph with joints closed and taps appended. */
  readonly graph: string;
  readonly weights: readonly { readonly path: string; readonly url: string }[];
  /** Shape of a cached tensor, (heads, width), for each input of the cache. */
  readonly cache: Readonly<Record<string, readonly [number, number]>>;
  /** Slots of a static graph's cache; null for a growing cache. */
  readonly cacheLength: number | null;
  /** Inputs of an edit, each filled with one number. */
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
  /** The first run, of one token, including the compilation of shaders. */
  readonly first: number;
  readonly prefill: readonly number[];
  /** One time for each token. */
  readonly step: readonly number[];
  readonly gpuPeak: number;
  /** The last step's largest logit, which all ways must agree on. */
  readonly largest: number;
}

export interface AdapterFacts {
  readonly name: string;
  readonly software: boolean;
  readonly features: readonly string[];
}
