// Generated from contracts/ by `npm run contract`: change the schemas, not this file.

/** What an activation of the table in contracts/activations.json is. */
export type ActivationKind =
  | 'logits'
  | 'embedding_sum'
  | 'resid_pre'
  | 'q'
  | 'k'
  | 'v'
  | 'attn_scores'
  | 'attn_probs'
  | 'attn_z'
  | 'attn_output'
  | 'resid_mid'
  | 'mlp_pre'
  | 'mlp_act'
  | 'mlp_output'
  | 'resid_post'
  | 'final_norm'
  | 'lens_ids'
  | 'lens_probs';

/**
 * major.minor; a reader refuses an unknown major and ignores what it does not know of a newer minor
 */
export type Version = string;
export type Size = number;
export type TokenId = number | null;
/**
 * a file beside the manifest or below it: forward slashes, no part that starts with a dot
 */
export type Path = string;
export type Digest = string;
export type TensorName = string;
/**
 * a fixed size, or the name of a dynamic dimension
 */
export type Dimension = Size | ('batch' | 'seq' | 'past' | 'total' | 'delta_batch' | 'delta_seq');

/**
 * manifest.json: what a bundle holds, where it came from, and how to open it.
 */
export interface Manifest {
  format: 'oriel-bundle';
  manifest_version: Version;
  contract_version: Version;
  model: ModelRecord;
  /**
   * every file of the bundle but the manifest itself
   *
   * @minItems 1
   * @maxItems 4096
   */
  files: FileDescriptor[];
  tokenizer?: TokenizerFiles;
  /**
   * @minItems 1
   * @maxItems 64
   */
  variants: Variant[];
  exporter: ExporterRecord;
}
export interface ModelRecord {
  name: string;
  /**
   * model_type of the checkpoint's config
   */
  architecture: string;
  source: ModelSource;
  /**
   * SHA-256 over the checkpoint's tensors: see ACTIVATIONS_CONTRACT.md
   */
  weights_digest: string;
  parameters: number;
  shape: ModelShape;
  bos_token_id?: TokenId;
  eos_token_id?: TokenId;
  tied_embeddings?: boolean;
}
/**
 * where the checkpoint really came from
 */
export interface ModelSource {
  kind: 'hub' | 'folder' | 'bundled';
  /**
   * the Hub's id, or the folder's name without its path
   */
  id: string;
  /**
   * the Hub's commit
   */
  revision?: string | null;
  note?: string;
}
/**
 * the sizes that the contract's symbolic dimensions stand for
 */
export interface ModelShape {
  /**
   * as many as a manifest can list taps for
   */
  layers: number;
  hidden: Size;
  heads: Size;
  kv_heads: Size;
  head_dim: Size;
  intermediate: Size;
  vocab: Size;
  context_length: Size;
  /**
   * attention and MLP read the same stream, so that there is no resid_mid
   */
  parallel_residual: boolean;
}
export interface FileDescriptor {
  path: Path;
  media_type: string;
  bytes: number;
  digest: Digest;
}
/**
 * absent where the checkpoint has none: the page then takes token ids
 */
export interface TokenizerFiles {
  tokenizer: Path;
  config: Path;
}
export interface Variant {
  name: string;
  precision: string;
  opset: number;
  /**
   * external data files; each path is also the location written in the graphs, relative to the graph
   *
   * @minItems 1
   * @maxItems 1024
   */
  weights: Path[];
  plain: GraphRecord;
  interactive: GraphRecord;
  /**
   * @maxItems 16384
   */
  taps: Tap[];
}
export interface GraphRecord {
  path: Path;
  activations: ActivationsDocument;
}
/**
 * What one ONNX graph takes and gives, in the contract's names. It stands in the graph's own metadata under the key oriel.activations, and in the manifest beside the graph's digest.
 */
export interface ActivationsDocument {
  contract_version: Version;
  graph: 'plain' | 'interactive';
  model: ModelShape;
  /**
   * @minItems 1
   * @maxItems 8192
   */
  inputs: TensorSpec[];
  /**
   * @minItems 1
   * @maxItems 16384
   */
  outputs: TensorSpec[];
}
export interface TensorSpec {
  name: TensorName;
  dtype: 'float32' | 'int64';
  /**
   * @minItems 1
   * @maxItems 4
   */
  shape: Dimension[];
}
/**
 * bytes that, appended to the interactive graph of this variant, turn inner tensors into outputs
 */
export interface Tap {
  /**
   * @minItems 1
   * @maxItems 4
   */
  outputs: TensorSpec[];
  /**
   * base64 of a serialized ModelProto that holds only graph.output and, where needed, graph.node
   */
  bytes: string;
}
export interface ExporterRecord {
  name: string;
  version: string;
  libraries?: {
    [k: string]: string;
  };
}
