/** What passes between the page and the worker that owns the model. Data only: the worker's code is in
 * `model.worker.ts`, its typed proxy in `model_client.ts`. */
import type { Manifest, Variant } from '../contract/generated';

export type Provider = 'webgpu' | 'wasm';

export interface OpenRequest {
  /** URL of a `manifest.json`, or of a `model.onnx` beside one; a query such as `?v=3` is kept. */
  url: string;
  /** Variant to open; the manifest's first one by default. */
  variant?: string;
  provider: Provider | 'auto';
  /** Contract names to open; those that the plain graph was exported with by default. */
  activations?: readonly string[];
}

export interface Progress {
  phase: 'manifest' | 'runtime' | 'download' | 'session';
  /** Bytes of the phase `download` only; 0 of 0 elsewhere. */
  receivedBytes: number;
  totalBytes: number;
}

export interface RuntimeFacts {
  provider: Provider;
  /** Why this provider: asked for by the user, or what the device said. */
  reason:
    | 'requested'
    | 'webgpu-available'
    | 'no-webgpu'
    | 'no-adapter'
    /** The only adapter computes on the CPU, slower than wasm. */
    | 'software-adapter'
    /** wasm answers sooner than a GPU can be handed the work. */
    | 'small-model';
  threads: number;
  crossOriginIsolated: boolean;
  adapter: string | null;
  runtimeVersion: string;
}

export interface OpenedModel {
  manifest: Manifest;
  variant: Variant;
  facts: RuntimeFacts;
  /** Contract names that every run gives, `logits` among them. */
  activations: readonly string[];
  hasTokenizer: boolean;
  timings: { downloadMs: number; sessionMs: number; downloadedBytes: number };
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

export interface Interventions {
  /** [layer, head] pairs whose attn_z is multiplied by 0. */
  headsOff: readonly (readonly [layer: number, head: number])[];
}

export interface RunRequest {
  /** The whole sequence. The worker feeds only what its key/value cache doesn't hold yet. */
  ids: readonly number[];
  /** false recomputes the whole sequence: for comparing, and for the speed figures. */
  reuseCache: boolean;
  interventions?: Interventions;
}

export interface RunResult {
  ids: readonly number[];
  /** Position of the first token fed: tensors cover positions start … ids.length - 1. */
  start: number;
  /** (vocab), the last position's. */
  lastLogits: Float32Array;
  /** Every open activation except logits; attention maps are (1, heads, fed, total). */
  tensors: readonly Tensor[];
  timings: { runMs: number };
}

/** Errors cross the worker's border as data: callers narrow on `kind` and never parse a message. */
export type ModelErrorData =
  | { kind: 'aborted' }
  | { kind: 'not-found'; url: string; status: number }
  | { kind: 'network'; url: string }
  | { kind: 'not-a-manifest'; url: string; detail: string }
  | { kind: 'contract-version'; got: string; supported: string }
  | { kind: 'integrity'; path: string; expected: string; got: string }
  | { kind: 'too-large'; path: string; bytes: number; limit: number }
  | { kind: 'unknown-variant'; got: string; known: readonly string[] }
  | { kind: 'unknown-activation'; got: string }
  | { kind: 'no-tokenizer' }
  | { kind: 'bad-tokens'; detail: string }
  | { kind: 'too-long'; tokens: number; limit: number }
  | { kind: 'provider-unavailable'; provider: Provider; detail: string }
  | { kind: 'session'; detail: string }
  | { kind: 'run'; detail: string };

export interface ModelClient {
  open(
    request: OpenRequest,
    onProgress: (p: Progress) => void,
    signal?: AbortSignal,
  ): Promise<OpenedModel>;
  /** Opens other taps over the weights already in memory; the cache starts anew. */
  setActivations(names: readonly string[]): Promise<OpenedModel>;
  encode(text: string): Promise<TokenPiece[]>;
  /** The bytes of tokens by id: for labels of predicted tokens. */
  pieces(ids: readonly number[]): Promise<TokenPiece[]>;
  /** A newer run supersedes an older one that waits; the older rejects with kind `aborted`. */
  run(request: RunRequest): Promise<RunResult>;
  close(): void;
}
