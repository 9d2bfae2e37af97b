/** The data that the page and the model's worker exchange. No code: the worker is in `model.worker.ts`, its typed proxy
 * in `model_client.ts`, and the proxy's interface in `client_interface.ts`. */
import type { Attribution } from '../analysis/attribution';
import type { UnfitGraph } from '../bundle/bundle_error';
import type { LocalModel } from '../bundle/sources/file_source';
import type { KeptModel } from '../bundle/storage/model_cache';
import type { TransferWait } from '../bundle/download/transfer';
import type { ChatTemplates } from '../tokenizer/chat_template';
import type { TokenizerProblem } from '../tokenizer/check_cases';
import type { Fidelity, Manifest, Variant } from '../contract/generated';
import type { Interventions } from './interventions';
import type { UnfitFile } from './described_file';

export type { KeptModel };

export type Provider = 'webgpu' | 'wasm';

export interface OpenRequest {
  /** URL of a manifest, of a `model.onnx` beside one or without any, or of the folder of both; a query such as `?v=3`
   * goes with every file. */
  url: string;
  /** The visitor's own files instead of an address; `url` then only tells one such model from another. */
  local?: LocalModel;
  /** Variant to open; by default the address's graph says, else the device (`Offer.choice`). Never replaced. */
  variant?: string;
  provider: Provider | 'auto';
  /**
   * On WebGPU, use a cache of fixed length if the bundle has one. Texts are then limited to that length
   * (`cache_length`).
   */
  staticCache?: boolean;
  /** Contract names to open; those that the plain graph was exported with by default. */
  activations?: readonly string[];
  /** Lens that the layers are read through; the logit lens by default, and where this one can't be opened. */
  lens?: string;
  /** Attempts that failed before, so that they are not offered again. */
  tried?: readonly Attempt[];
  /** Edits that the next runs will make; the session is created with the closings for them. */
  interventions?: Interventions;
}

export interface Progress {
  /** `list` (of models) and `page` (its reload or service worker) are waits of the page before it requests a model. */
  phase: 'list' | 'page' | 'manifest' | 'runtime' | 'download' | 'session';
  /** Bytes of the phase `download` only; 0 of 0 elsewhere. Those that the browser had kept are among them. */
  receivedBytes: number;
  totalBytes: number;
  keptBytes: number;
  /** Why nothing arrives at the moment; null while something does. */
  waiting: Waiting | null;
}

export type Waiting =
  | TransferWait
  /** The runtime did not start with several threads in this time, in milliseconds: it is started with one. */
  | { reason: 'one-thread'; ms: number };

/** null: this browser keeps nothing for this page (a private window, no TLS, storage that does not answer). */
export type CachedModels = readonly KeptModel[] | null;

/** The device's answers about what it can run. */
export interface DeviceFacts {
  /** `navigator.gpu` is there. */
  webgpu: boolean;
  /** Name of the adapter; null where none answered. */
  adapter: string | null;
  /** The adapter computes on the CPU, slower than wasm does. */
  software: boolean;
  shaderF16: boolean;
  /** `maxStorageBufferBindingSize`: no single weight may be larger. null without an adapter. */
  maxBindingBytes: number | null;
  /** `maxBufferSize`. null without an adapter. */
  maxBufferBytes: number | null;
  /** `navigator.deviceMemory` in GiB, rounded and capped by the browser; null where it does not say. */
  memoryGiB: number | null;
  /** Number of threads that wasm would use. */
  threads: number;
  crossOriginIsolated: boolean;
  /** The visitor asked the browser to save data. */
  saveData: boolean;
}

/** Why a variant cannot run on a provider. Sizes in bytes. */
export type Refusal =
  | { code: 'no-webgpu' }
  | { code: 'no-adapter' }
  /** The graph computes in float16, and the adapter has no `shader-f16`. */
  | { code: 'needs-f16' }
  /** WebGPU has no kernels for these: the runtime would copy each product to the CPU and back. */
  | { code: 'no-kernels'; kernels: string }
  /** The largest weight is over what the GPU can bind, or hold in one buffer. */
  | { code: 'weight-over-binding'; bytes: number; limit: number }
  | { code: 'weight-over-buffer'; bytes: number; limit: number }
  /** More than a browser gives one array. */
  | { code: 'file-too-large'; bytes: number; limit: number }
  /** More than WebAssembly can address. */
  | { code: 'over-heap'; bytes: number; limit: number }
  /** More than the share of the device's memory that a page may count on. A guess: never chosen for anyone, but opened
   * for whoever asks for it by name. */
  | { code: 'memory'; bytes: number; limit: number };

export interface Fitness {
  /** Bytes of weights in the page's and the runtime's memory together once it is open. */
  memory: number;
  /** null: it works. */
  refusal: Refusal | null;
}

/** One variant as the visitor may choose it, before anything of it is downloaded. */
export interface VariantOffer {
  name: string;
  kernels: string;
  encoding: string;
  /** Bytes to download: weights, graph and tokenizer. */
  bytes: number;
  on: Readonly<Record<Provider, Fitness>>;
  /** As measured by the exporter; null where it was not. */
  fidelity: Fidelity | null;
  /** Written although it misses its bounds: never chosen automatically. */
  lossy: boolean;
}

/** Why this provider: asked for by the user, or what the device said. */
export type ProviderReason =
  | 'requested'
  | 'webgpu-available'
  | 'no-webgpu'
  | 'no-adapter'
  /** The only adapter computes on the CPU, slower than wasm. */
  | 'software-adapter'
  /** wasm answers sooner than a GPU can be handed the work. */
  | 'small-model'
  /** No variant that may be chosen works on the provider that would come first. */
  | 'no-variant-fits';

/** Why this variant. Sizes in bytes. */
export type VariantReason =
  | { code: 'requested' }
  /** The only variant whose graph the address named. */
  | { code: 'address' }
  | { code: 'only-one' }
  /** The float32 weights themselves are below `limit`: nothing is worth saving. */
  | { code: 'small-model'; bytes: number; limit: number }
  /** The visitor saves data: the fewest bytes within their bounds. */
  | { code: 'save-data'; bytes: number }
  /** Float32 kernels, wasm's fastest step, from weights that travel smaller. */
  | { code: 'expands-here'; bytes: number; memory: number; limit: number }
  /** Float16 kernels, as the adapter has `shader-f16`. */
  | { code: 'has-f16' }
  /** The variants preferred on this provider do not work here: see their refusals. */
  | { code: 'fits'; bytes: number; memory: number };

export interface Attempt {
  variant: string;
  provider: Provider;
}

export interface Choice extends Attempt {
  providerReason: ProviderReason;
  variantReason: VariantReason;
}

export interface Offer {
  /** In the manifest's order. */
  variants: readonly VariantOffer[];
  /** The variant and provider that the request opens; null where it is refused. */
  choice: Choice | null;
  /** The error that opening is refused with; null where there is a choice. */
  refused: ModelErrorData | null;
}

/** All that can be said of a model before its weights are downloaded. */
export interface Survey {
  manifest: Manifest;
  device: DeviceFacts;
  offer: Offer;
}

export interface RuntimeFacts {
  provider: Provider;
  reason: ProviderReason;
  variantReason: VariantReason;
  threads: number;
  /** One thread, because the runtime did not start with several. */
  threadsFailed: boolean;
  crossOriginIsolated: boolean;
  adapter: string | null;
  runtimeVersion: string;
}

export interface OpenedModel {
  /** For a bare graph, made from the graph's own data: without digests, source and fidelity. */
  manifest: Manifest;
  /** A graph without a manifest: nothing proves its bytes. */
  isBare: boolean;
  variant: Variant;
  facts: RuntimeFacts;
  device: DeviceFacts;
  offer: Offer;
  /** Contract names that every run gives, `logits` among them. */
  activations: readonly string[];
  /** Name of the lens that lens_ids and lens_probs are read through. */
  lens: string;
  hasTokenizer: boolean;
  /** Why there is none although the bundle has one: text would become other tokens here than in transformers. */
  tokenizerTrouble: TokenizerProblem | null;
  /** The template of the model's conversations; null where its tokenizer doesn't say, or isn't used. */
  chat: ChatTemplates | null;
  timings: {
    downloadMs: number;
    /** The part of `sessionMs` spent on expanding the weights; 0 if they need no expansion. */
    expandMs: number;
    sessionMs: number;
    /** One token through the new session; null where none was run (wasm). */
    firstRunMs: number | null;
    downloadedBytes: number;
    /** Not fetched, because the browser had kept them. */
    keptBytes: number;
  };
  /** True where the next visit finds the model in this browser, even without a network. */
  isKept: boolean;
  /** Time when the model was opened last, in milliseconds since 1970, where its address could not be asked for a newer
   * version; else null. */
  keptSince: number | null;
}

export interface TokenPiece {
  id: number;
  /** The token's own bytes: may be part of a UTF-8 character. */
  bytes: Uint8Array;
}

export interface Tensor {
  name: string;
  dims: readonly number[];
  /** Row-major. int64 outputs of the graph (token ids) arrive as Int32Array. */
  data: Float32Array | Int32Array;
}

/** The logit to attribute to the model's parts. */
export interface AttributionRequest {
  readonly answer: number;
  /** A token whose logit is subtracted, to attribute the difference; none by default. */
  readonly other?: number;
  /** The layer whose neurons' shares are requested as well; none by default. */
  readonly neuronsOf?: number;
  /** True where the run returns the direction as well. */
  readonly direction?: boolean;
}

export interface RunRequest {
  /** The whole sequence. The worker feeds only what its key/value cache doesn't hold yet. */
  ids: readonly number[];
  /** false recomputes the whole sequence: for comparing, and for the speed figures. */
  reuseCache: boolean;
  /** false leaves the key/value cache as it is: for runs whose text nobody continues, as in a sweep. */
  keepCache?: boolean;
  /** True where edits may name positions behind the text, as those of a run that keeps its cache always may. */
  goesOn?: boolean;
  /** None by default. */
  interventions?: Interventions;
  /** Attribute a token's logit to the model's parts; none by default. */
  attribution?: AttributionRequest;
  /** Names of the activations to return instead of the open ones. Others than these are opened for such runs alone. */
  activations?: readonly string[];
  /** Edits that later runs will make: the session gets the closings for them at once. */
  upcoming?: Interventions;
}

export interface RunResult {
  ids: readonly number[];
  /** Position of the first token fed: tensors cover positions start … ids.length - 1. */
  start: number;
  /** (vocab), the last position's. */
  lastLogits: Float32Array;
  /** Every open activation except logits; attention maps are (1, heads, fed, total). */
  tensors: readonly Tensor[];
  /** Attribution for the tokens that were fed; absent unless it was requested. */
  attribution?: Attribution;
  /** The factors of the stream in front of the final norm for the attributed logit, with the norm's weight in it and
   * without its mean where the norm takes that away: (hidden). Absent unless it was requested. */
  direction?: Float32Array;
  /** `sessionMs`: time to create a session for the run's interventions; absent if the open session served. */
  timings: { runMs: number; sessionMs?: number };
}

/** Texts that run together, without using or changing the key/value cache. */
export interface BatchRequest {
  /** Token ids of each text. Shorter texts get padding before them, which doesn't affect their results. */
  texts: readonly (readonly number[])[];
  /** None by default. An edit's `row` selects a text; without it, the edit applies to all. */
  interventions?: Interventions;
  /** Names of the activations to return instead of the open ones. Others than these are opened for such runs alone. */
  activations?: readonly string[];
  /** Edits that later batches will make: the session gets the closings for them at once. */
  upcoming?: Interventions;
  /** Number of last tokens whose logits are returned; default 1, at most the tokens of the shortest text. */
  logits?: number;
}

export interface BatchedText {
  ids: readonly number[];
  /** (requested tokens, vocab). */
  logits: Tensor;
  /** Activations as in RunResult, for all tokens of the text. */
  tensors: readonly Tensor[];
}

export interface BatchResult {
  /** Results in the order of the request. */
  texts: readonly BatchedText[];
  timings: { runMs: number };
}

/** Why an opened variant broke down. */
export type FailureCause = 'no-f16' | 'device-lost' | 'out-of-memory' | 'other';

/** A session that could not be made, or a run that failed: what it was, and what to offer instead. */
export interface Failure extends Attempt {
  cause: FailureCause;
  /** An untried attempt that should work by the device's answers; null where nothing else is left. */
  next: NextAttempt | null;
}

/** An attempt that is offered after a failure. */
export interface NextAttempt extends Attempt {
  /** Everything that it takes is on this device. */
  isKept?: true;
}

/** The worker sends errors as data: callers narrow on `kind` and never parse a message. */
export type ModelErrorData =
  | { kind: 'aborted' }
  | { kind: 'not-found'; url: string; status: number }
  | { kind: 'server'; url: string; status: number; retryAfterMs: number | null }
  | { kind: 'network'; url: string; offline: boolean }
  | { kind: 'stalled'; url: string; ms: number }
  /** The page's own worker, or the runtime in it, gave no sign of life for so long, in milliseconds. */
  | { kind: 'hung'; part: 'worker' | 'runtime'; ms: number }
  /** The frame around the page takes its origin away, and with it the right to start a worker. */
  | { kind: 'sandboxed'; address: string; detail: string }
  | { kind: 'no-cors'; url: string; origin: string }
  | { kind: 'not-a-manifest'; url: string; detail: string; isHtml?: true }
  | { kind: 'contract-version'; got: string; supported: string }
  | { kind: 'integrity'; path: string; expected: string; got: string }
  | { kind: 'no-ranges'; url: string; got: number; expected: number }
  | { kind: 'too-large'; path: string; bytes: number; limit: number }
  | { kind: 'not-a-model'; path: string; reason: UnfitGraph; got: string }
  | { kind: 'files-missing'; names: readonly string[]; count: number }
  | { kind: 'no-model-in-files'; names: readonly string[]; count: number }
  | { kind: 'too-many-files'; limit: number }
  | { kind: 'address-refused'; address: string; reason: 'scheme' | 'credentials' | 'unreadable' }
  | { kind: 'origin-refused'; origin: string; allowed: readonly string[] }
  /** A link names a model that the host's list doesn't have. */
  | { kind: 'unknown-model'; got: string; known: readonly string[] }
  | { kind: 'unknown-variant'; got: string; known: readonly string[] }
  | { kind: 'unknown-activation'; got: string }
  | { kind: 'unknown-lens'; got: string; known: readonly string[] }
  /** A lens pack whose file differs from the manifest's description or belongs to another model. */
  | { kind: 'unfit-lens'; name: string; reason: UnfitFile; detail: string }
  | { kind: 'unknown-dictionary'; got: string; known: readonly string[] }
  /** A dictionary whose file differs from the manifest's description or belongs to another model. */
  | { kind: 'unfit-dictionary'; name: string; reason: UnfitFile; detail: string }
  | { kind: 'no-tokenizer' }
  /** The variant has no attribution taps: an older exporter wrote it, or its stream is not the sum of its parts. */
  | { kind: 'no-attribution' }
  | { kind: 'bad-tokens'; detail: string }
  | { kind: 'too-long'; tokens: number; limit: number }
  /** The runtime did not start on the provider. */
  | { kind: 'provider-unavailable'; provider: Provider; detail: string }
  /** The device has nothing to run WebGPU on. */
  | { kind: 'provider-unavailable'; provider: 'webgpu'; reason: 'no-webgpu' | 'no-adapter' }
  /** The variant asked for cannot run on the provider asked for, or on any. */
  | {
      kind: 'variant-refused';
      variant: string;
      provider: Provider;
      refusal: Refusal;
      next: Attempt | null;
    }
  /** Nothing was asked for, and nothing that may be chosen works: the offer says of each why. */
  | {
      kind: 'no-variant-fits';
      provider: Provider;
      /** null: it works, but misses its bounds, so it must be asked for by name. */
      refusals: readonly { variant: string; refusal: Refusal | null }[];
    }
  /** `failure` is there as soon as a variant had been chosen. */
  | { kind: 'session'; detail: string; failure?: Failure }
  | { kind: 'run'; detail: string; failure?: Failure };

/** The part of a model that a view needs; a precomputed answer has no more. */
export type ViewedModel = Pick<
  OpenedModel,
  'manifest' | 'variant' | 'activations' | 'hasTokenizer' | 'lens'
>;

/** The publisher's precomputed answer to an example text, shown as such until the model itself answers. */
export interface FirstPass {
  manifest: Manifest;
  /** The variant that computed it. */
  variant: Variant;
  prompt: string;
  /** Name and version of the runtime that computed it. */
  runtime: string;
  /** Pieces of every token that a view names; none where there is no tokenizer. */
  pieces: readonly TokenPiece[];
  /** The run of the whole prompt. */
  result: RunResult;
}
