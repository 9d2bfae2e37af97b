// Generated from contracts/ by `npm run contract`: change the schemas, not this file.

/** Kind of an activation, as in the table of contracts/activations.json. */
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
  | 'attn_output_raw'
  | 'attn_output'
  | 'resid_mid'
  | 'router_logits'
  | 'router_probs'
  | 'expert_ids'
  | 'expert_weights'
  | 'mlp_pre'
  | 'mlp_gate'
  | 'mlp_linear'
  | 'mlp_act'
  | 'mlp_output_raw'
  | 'mlp_output'
  | 'resid_post'
  | 'final_norm'
  | 'pooled'
  | 'lens_ids'
  | 'lens_probs';

/** Name of a closing, as in the table of contracts/activations.json. */
export type ClosingName =
  'identity' | 'add' | 'scale' | 'replace' | 'project-out' | 'cap' | 'swap' | 'clamp';

/**
 * major.minor; a reader refuses an unknown major and ignores what it does not know of a newer minor
 */
export type Version = string;
export type Size = number;
export type Count = number;
export type TokenId = number | null;
/**
 * below the vocabulary's size
 */
export type KnownTokenId = number;
/**
 * a file beside the manifest or below it: forward slashes, at most eight parts, none that begins or ends with a dot or is the name of a device on Windows
 */
export type Path = string;
export type Digest = string;
export type TensorName = string;
/**
 * a fixed size, or the name of a dynamic dimension; batch, seq, past, total and deltas in contract 1.x
 */
export type Dimension =
  | Size
  | (
      | 'batch_size'
      | 'sequence_length'
      | 'past_sequence_length'
      | 'total_sequence_length'
      | 'num_logits'
      | 'batch'
      | 'seq'
      | 'past'
      | 'total'
      | 'delta_batch'
      | 'delta_seq'
    );
/**
 * kind of the activation that holds the units: a neuron, a head, a coordinate of the stream; features_{name} for the features of a dictionary
 */
export type UnitKind = string;
export type TapBytes = string;

/**
 * manifest.json: the contents of a bundle, their origin, and the way to open them.
 */
export interface Manifest {
  format: 'oriel-bundle';
  manifest_version: Version;
  contract_version: Version;
  /**
   * the name that it was published under; absent in a bundle on disk
   */
  version?: string;
  model: ModelRecord;
  /**
   * every file of the bundle but the manifest itself
   *
   * @minItems 1
   * @maxItems 4096
   */
  files: FileDescriptor[];
  tokenizer?: TokenizerFiles;
  first_pass?: FirstPassRecord;
  /**
   * lens packs: lenses with a map for each layer, in addition to the logit lens of each variant's taps; see ACTIVATIONS_CONTRACT.md
   *
   * @maxItems 16
   */
  lens_packs?: LensPackRecord[];
  /**
   * sparse autoencoders and transcoders of the model's activations, and the taps that compute their features; see ACTIVATIONS_CONTRACT.md. Since contract 2.1
   *
   * @maxItems 64
   */
  dictionaries?: DictionaryRecord[];
  dashboards?: DashboardSet;
  /**
   * @minItems 1
   * @maxItems 64
   */
  variants: Variant[];
  exporter: ExporterRecord;
}
/**
 * the model of all variants, and the checkpoint that it came from
 */
export interface ModelRecord {
  name: string;
  /**
   * model_type of the checkpoint's config
   */
  architecture: string;
  source: ModelSource;
  /**
   * SHA-256 of the checkpoint's config.json
   */
  config_digest?: string;
  /**
   * SHA-256 over the checkpoint's tensors: see ACTIVATIONS_CONTRACT.md
   */
  weights_digest: string;
  parameters: number;
  shape: ModelShape;
  bos_token_id?: TokenId;
  eos_token_id?: TokenId;
  /**
   * every token that ends a text, as config.json and generation_config.json name them, each below the vocabulary's size; absent in manifests before 1.2, where eos_token_id is all that is known
   *
   * @maxItems 64
   */
  end_token_ids?: KnownTokenId[];
  tied_embeddings?: boolean;
  classifier?: ClassifierRecord;
}
/**
 * origin of the checkpoint
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
  /**
   * name of the folder of the LoRA adapter that was merged into it
   */
  adapter?: string;
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
  /**
   * width of one head's values, where it isn't head_dim
   */
  value_dim?: number;
  /**
   * the MLP's nonlinearity is multiplied by a linear branch, so that there are mlp_gate and mlp_linear
   */
  gated_mlp?: boolean;
  /**
   * outputs of attention and MLP pass a norm or a multiplier before they are added to the residual stream, so that there are attn_output_raw and mlp_output_raw
   */
  raw_outputs?: boolean;
  /**
   * softmax has a term that belongs to no token, so that rows of attn_probs sum to less than 1
   */
  attention_sinks?: boolean;
  /**
   * tokens see those after them too; such a model has no cache
   */
  bidirectional?: boolean;
  /**
   * the residual stream passes a norm after each sum, so that resid_mid is the norm of resid_pre + attn_output and resid_post the norm of resid_mid + mlp_output. Since contract 2.1
   */
  post_norm?: boolean;
  /**
   * segments that token_type_ids tells apart; 0, as where it is absent, means that there is no such input. Since contract 2.1
   */
  token_types?: number;
  /**
   * labels that logits are over, in the place of the vocabulary; 0, as where it is absent, means a language model. Since contract 2.1
   */
  labels?: number;
  /**
   * logits are over labels of whole texts, (batch_size, labels), and come from one vector for each text, which is pooled. Since contract 2.1
   */
  pooled?: boolean;
  /**
   * last tokens, with itself, that a token sees, and in a bidirectional model as many of the next ones; 0, as where it is absent, means all
   */
  window?: number;
  /**
   * MLPs that a router chooses among; 0, as where it is absent, means none
   */
  experts?: number;
  /**
   * number of experts chosen for each token
   */
  active_experts?: number;
  /**
   * for each layer the sizes that differ from the model's
   *
   * @minItems 1
   * @maxItems 1000
   */
  layer_sizes?: LayerSizes[];
}
/**
 * sizes of one layer, in place of the model's
 */
export interface LayerSizes {
  heads?: Size;
  kv_heads?: Size;
  head_dim?: Size;
  value_dim?: Size;
  intermediate?: Size;
  window?: Count;
  experts?: Count;
  active_experts?: Size;
}
/**
 * what a model's logits say whose sizes have labels: their names, in the order of logits, and what a logit is. Since manifest 2.1
 */
export interface ClassifierRecord {
  /**
   * single_label: softmax makes probabilities of the logits, of one label each; multi_label: the sigmoid of each is that label's own probability; regression: a logit is a number as it is
   */
  problem: 'single_label' | 'multi_label' | 'regression';
  /**
   * as many as the sizes say; texts of the checkpoint's config
   *
   * @minItems 1
   * @maxItems 10000
   */
  labels: string[];
}
/**
 * one file of the bundle, by its size and digest
 */
export interface FileDescriptor {
  path: Path;
  media_type: string;
  bytes: number;
  digest: Digest;
  /**
   * parts of a published file, in order: their bytes one after another are the file, and nothing lies at its own path
   *
   * @minItems 1
   * @maxItems 65536
   */
  chunks?: Chunk[];
}
/**
 * a part of a file, or all of it; many files may name the same one
 */
export interface Chunk {
  path: Path;
  bytes: number;
  digest: Digest;
}
/**
 * absent where the checkpoint has none: the page then takes token ids
 */
export interface TokenizerFiles {
  tokenizer: Path;
  config: Path;
  /**
   * the tokens that the checkpoint's own tokenizer puts before every text; empty where it puts none, absent in manifests before 1.2, where nobody looked
   *
   * @maxItems 16
   */
  first_tokens?: KnownTokenId[];
  /**
   * the tokens that the checkpoint's own tokenizer puts after every text; a text that is to be continued gets none. Since contract 2.1
   *
   * @maxItems 16
   */
  last_tokens?: KnownTokenId[];
  /**
   * below the vocabulary's size
   */
  mask_token?: number;
  /**
   * a file beside the manifest or below it: forward slashes, at most eight parts, none that begins or ends with a dot or is the name of a device on Windows
   */
  cases?: string;
  origin?: TokenizerOrigin;
  agreement?: TokenizerAgreement;
}
/**
 * origin of the tokenizer: the checkpoint's files, opened by a class of a library
 */
export interface TokenizerOrigin {
  /**
   * names of the checkpoint's files that say something about its tokenizer
   *
   * @minItems 1
   * @maxItems 16
   */
  files: string[];
  class: string;
  /**
   * with its version
   */
  library: string;
}
/**
 * the tokenizer of the bundle compared with the checkpoint's own, as the library opens it: ids of the same texts, which are more than `cases` holds
 */
export interface TokenizerAgreement {
  /**
   * number of texts compared
   */
  texts: number;
  /**
   * tokens of these texts, by the library
   */
  tokens: number;
  /**
   * texts that gave other ids
   */
  differing: number;
  /**
   * the first of them, with both ids
   */
  note?: string;
}
/**
 * the activations of one variant for an example, computed in advance: readers show them while the weights download. A safetensors file: see ACTIVATIONS_CONTRACT.md
 */
export interface FirstPassRecord {
  path: Path;
  /**
   * the variant that computed it
   */
  variant: string;
  /**
   * the example; where there is no tokenizer, its token ids with spaces between
   */
  prompt: string;
  /**
   * the program that ran it, with its version
   */
  runtime: string;
}
/**
 * a lens pack in the bundle, and the taps that apply it
 */
export interface LensPackRecord {
  /**
   * unique among the packs, and not the name of the logit lens
   */
  name: string;
  /**
   * a file beside the manifest or below it: forward slashes, at most eight parts, none that begins or ends with a dot or is the name of a device on Windows
   */
  path: string;
  description: LensDescription;
  /**
   * for each variant, by its name, one tap for each layer that the pack maps, in order
   */
  taps: {
    /**
     * @minItems 1
     * @maxItems 4095
     */
    [k: string]: Tap[];
  };
}
/**
 * description of a lens pack, identical to the description in its file
 */
export interface LensDescription {
  /**
   * tuned: stream + stream @ weight + bias; jacobian: stream @ weight
   */
  kind: 'tuned' | 'jacobian';
  /**
   * weights_digest of the model that it belongs to
   */
  weights: string;
  fitted: LensFit;
}
/**
 * method of fitting the maps of a lens pack, and their measured divergence
 */
export interface LensFit {
  text: MeasuredText;
  held_out: MeasuredText1;
  /**
   * the optimizer and its settings, or the method of estimation
   */
  method: string;
  seed: number;
  /**
   * one row for each layer that the pack maps, in order
   *
   * @minItems 1
   * @maxItems 4095
   */
  kl: LensDivergence[];
}
/**
 * the text that the maps were fitted to
 */
export interface MeasuredText {
  name: string;
  /**
   * digest of the token ids: little-endian int64, passages one after another
   */
  digest: string;
  passages: number;
  tokens: number;
}
/**
 * the text that `kl` was measured on, which the maps were not fitted to
 */
export interface MeasuredText1 {
  name: string;
  /**
   * digest of the token ids: little-endian int64, passages one after another
   */
  digest: string;
  passages: number;
  tokens: number;
}
/**
 * mean KL divergence over positions, in nats, of a layer's predictions through a lens from the model's own next-token distribution
 */
export interface LensDivergence {
  layer: number;
  /**
   * divergence of the logit lens
   */
  logit: number;
  /**
   * divergence of this lens
   */
  lens: number;
}
/**
 * bytes that, appended to the decoder graph or the open graph of this variant, turn inner tensors into outputs
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
/**
 * an input or output of a graph
 */
export interface TensorSpec {
  name: TensorName;
  dtype: 'float32' | 'int64';
  /**
   * @maxItems 4
   */
  shape: Dimension[];
}
/**
 * a dictionary in the bundle, and the taps that compute its features
 */
export interface DictionaryRecord {
  /**
   * unique among the dictionaries; its features are the output features_{name}
   */
  name: string;
  /**
   * a file beside the manifest or below it: forward slashes, at most eight parts, none that begins or ends with a dot or is the name of a device on Windows
   */
  path: string;
  description: DictionaryDescription;
  /**
   * for each variant, by its name, the tap that computes the features
   */
  taps: {
    [k: string]: Tap;
  };
}
/**
 * description of a dictionary, identical to the description in its file
 */
export interface DictionaryDescription {
  /**
   * sae, a sparse autoencoder: its features are computed from the activation in `reads` and rebuild the same, which is in `writes` too; transcoder: they rebuild another activation, that in `writes`
   */
  kind: 'sae' | 'transcoder';
  /**
   * weights_digest of the model that it belongs to
   */
  weights: string;
  reads: DictionaryActivation;
  writes: DictionaryActivation;
  /**
   * number of features
   */
  features: number;
  /**
   * the features of pre = x @ encoder_weight + encoder_bias; relu: max(pre, 0); jumprelu: pre where it is greater than the feature's threshold, else 0; topk: the k greatest of max(pre, 0), others 0
   */
  activation: 'relu' | 'jumprelu' | 'topk';
  /**
   * number of features that topk keeps at each token; only with topk, and at most `features`
   */
  k?: number;
  /**
   * origin of the weights: the release and its library, or the method of training
   */
  source: string;
  /**
   * seed of the training
   */
  seed?: number;
  trained_on?: MeasuredText2;
  measured?: DictionaryMeasures;
}
/**
 * an activation with a row for each token; the heads of attn_z are put one after another
 */
export interface DictionaryActivation {
  kind:
    'resid_pre' | 'resid_mid' | 'resid_post' | 'attn_output' | 'mlp_output' | 'mlp_act' | 'attn_z';
  layer: number;
}
/**
 * the text that it was trained on
 */
export interface MeasuredText2 {
  name: string;
  /**
   * digest of the token ids: little-endian int64, passages one after another
   */
  digest: string;
  passages: number;
  tokens: number;
}
/**
 * measurements of a dictionary on a text that it was not trained on
 */
export interface DictionaryMeasures {
  text: MeasuredText3;
  /**
   * 1 minus the squared error of the rebuilt activation, summed over tokens, divided by the sum of squared differences of the activation from its mean
   */
  explained_variance: number;
  /**
   * mean number of features above 0 at a token
   */
  l0: number;
  /**
   * number of features that are 0 at every token of the text
   */
  dead_features: number;
  loss: DictionaryLoss;
  /**
   * (zeroed - replaced) / (zeroed - model), of the losses in `loss`
   */
  loss_recovered: number;
}
/**
 * a text that a variant was measured on or fitted to
 */
export interface MeasuredText3 {
  name: string;
  /**
   * digest of the token ids: little-endian int64, passages one after another
   */
  digest: string;
  passages: number;
  tokens: number;
}
/**
 * mean cross-entropy of the next token, in nats
 */
export interface DictionaryLoss {
  /**
   * of the unchanged model
   */
  model: number;
  /**
   * with the rebuilt activation in the place of the one in writes
   */
  replaced: number;
  /**
   * with zeros in its place
   */
  zeroed: number;
}
/**
 * what each unit does over a corpus: how it was counted, and where the index of each layer is. Since contract 2.1
 */
export interface DashboardSet {
  /**
   * weights_digest of the model that it belongs to
   */
  weights: string;
  /**
   * the variant that computed it
   */
  variant: string;
  corpus: DashboardCorpus;
  /**
   * tokens that the model read at a time
   */
  context_length: number;
  /**
   * a unit fires above this quantile of its values in the first contexts; a dictionary's feature fires above 0
   */
  firing_quantile: number;
  /**
   * firings in the sample of each unit, at most
   */
  firings: number;
  /**
   * bound of the standard error of estimated overlaps
   */
  overlap_error: number;
  /**
   * the units of one kind in one layer each; neighbours name a group by its place here
   *
   * @minItems 1
   * @maxItems 16384
   */
  groups: DashboardGroup[];
}
/**
 * the text that units were counted on
 */
export interface DashboardCorpus {
  name: string;
  /**
   * SHA-256 over the shards' digests, each the SHA-256 of its token ids: little-endian int64, contexts one after another
   */
  digest: string;
  shards: number;
  contexts: number;
  tokens: number;
  /**
   * tokens whose values are counted: all but the first of each context
   */
  counted: number;
  /**
   * counted tokens that histograms and moments are made of
   */
  sampled: number;
}
/**
 * the units of one kind in one layer
 */
export interface DashboardGroup {
  kind: UnitKind;
  layer: number;
  units: number;
  /**
   * a file beside the manifest or below it: forward slashes, at most eight parts, none that begins or ends with a dot or is the name of a device on Windows
   */
  path: string;
  /**
   * digest of the dictionary's file, where the units are its features
   */
  dictionary?: string;
}
/**
 * the model in one precision: its graphs and the files of their weights; manifests 1.x have an interactive graph in the place of decoder and open
 */
export interface Variant {
  name: string;
  precision: string;
  opset: number;
  /**
   * files that hold the weights. Without an expansion, each path is also the location written in the graphs, relative to the graph; with one, they are what travels, one file
   *
   * @minItems 1
   * @maxItems 1024
   */
  weights: Path[];
  plain: GraphRecord;
  decoder?: GraphRecord;
  open?: GraphRecord;
  static?: GraphRecord1;
  interactive?: GraphRecord;
  /**
   * @maxItems 32768
   */
  taps: Tap[];
  attribution?: Attribution;
  /**
   * precision of the kernels; absent in manifests 1.0, where it is the precision
   */
  kernels?: 'fp32' | 'fp16' | 'int8' | 'int8_static' | 'int4';
  /**
   * form in which the weights are sent and stored; absent in manifests 1.0, where they are what the graphs read
   */
  encoding?: 'f32' | 'f16' | 'q8' | 'q4';
  expansion?: Expansion;
  /**
   * bytes of the largest single weight as the kernels read it: a GPU must bind it whole
   */
  largest_weight?: number;
  /**
   * number of nodes of each kind that compute on encoded weights, in each graph
   */
  nodes?: {
    [k: string]: number;
  };
  recipe?: RecipeRecord;
  calibration?: Calibration;
  fidelity?: Fidelity;
  reference_pass?: ReferencePassRecord;
  /**
   * true where the variant misses its bounds and was written all the same, by --allow-lossy
   */
  lossy?: boolean;
}
/**
 * one ONNX graph, with the document that stands in its metadata
 */
export interface GraphRecord {
  path: Path;
  activations: ActivationsDocument;
}
/**
 * Inputs and outputs of one ONNX graph, in the contract's names. The document stands in the graph's own metadata under the key oriel.activations, and in the manifest beside the graph's digest.
 */
export interface ActivationsDocument {
  contract_version: Version;
  /**
   * static exists since contract 2.1; interactive in contract 1.x only
   */
  graph: 'plain' | 'decoder' | 'open' | 'static' | 'interactive';
  model: ModelShape;
  /**
   * @minItems 1
   * @maxItems 8192
   */
  inputs: TensorSpec[];
  /**
   * @minItems 1
   * @maxItems 32768
   */
  outputs: TensorSpec[];
  /**
   * slots of a static graph's cache, in tokens; past_sequence_length and total_sequence_length equal this number, and num_logits is 1
   */
  cache_length?: number;
  /**
   * tensors that nodes of an open or static graph read but no node computes; a reader appends a closing for each
   *
   * @minItems 1
   * @maxItems 16384
   */
  joints?: TensorSpec[];
}
/**
 * one ONNX graph, with the document that stands in its metadata
 */
export interface GraphRecord1 {
  path: Path;
  activations: ActivationsDocument;
}
/**
 * taps that, appended to the open graph, compute each part's share of a logit; their inputs and outputs are those of the contract's table. Since contract 2.1
 */
export interface Attribution {
  /**
   * tap that declares the inputs and computes the shares that belong to no layer
   */
  model: string;
  /**
   * one tap for each layer, appended after the model's tap
   *
   * @minItems 1
   * @maxItems 1000
   */
  layers: TapBytes[];
  /**
   * one tap for each layer's neurons, appended after the model's tap
   *
   * @minItems 1
   * @maxItems 1000
   */
  neurons: TapBytes[];
}
/**
 * the float file that the graphs read, and how the weights file is expanded into it while it arrives; bytes that no weight covers are 0
 */
export interface Expansion {
  /**
   * a file beside the manifest or below it: forward slashes, at most eight parts, none that begins or ends with a dot or is the name of a device on Windows
   */
  path: string;
  bytes: number;
  /**
   * digest of the expanded file
   */
  digest: string;
  dtype: 'float32' | 'float16';
  /**
   * in the order of `values`
   *
   * @minItems 1
   * @maxItems 65536
   */
  weights: EncodedWeight[];
}
/**
 * one weight in the weights file and in the expanded file; scales are float16, little-endian
 */
export interface EncodedWeight {
  name: string;
  /**
   * as the graph reads it, row-major
   *
   * @minItems 1
   * @maxItems 8
   */
  shape: number[];
  /**
   * byte offset in the expanded file
   */
  at: number;
  /**
   * float32, float16: as it is; channels: 8 bits in the graph's own order, a scale for each channel; blocks: (channels, blocks, bytes of a block), as MatMulNBits reads them
   */
  layout: 'float32' | 'float16' | 'channels' | 'blocks';
  /**
   * byte offset in the weights file
   */
  values: number;
  /**
   * byte offset in the weights file; before `values`
   */
  scales?: number;
  /**
   * byte offset in the weights file, before `values`; absent where the zero point is the middle (0 for signed values, 8 or 128 for others)
   */
  zero_points?: number;
  /**
   * dimension of the shape that is summed over, and along which blocks run
   */
  axis?: 0 | 1;
  bits?: 4 | 8;
  /**
   * channels only: int8, else uint8
   */
  signed?: boolean;
  /**
   * blocks only: values that share a scale
   */
  block?: 16 | 32 | 64 | 128 | 256;
}
/**
 * rules for encoding the weights: the first that matches a name applies
 */
export interface RecipeRecord {
  name: string;
  /**
   * @minItems 1
   * @maxItems 256
   */
  rules: {
    [k: string]: unknown;
  }[];
}
/**
 * the text that ranges or rounding were fitted to
 */
export interface Calibration {
  text: MeasuredText3;
  method?: 'minmax' | 'entropy' | 'percentile';
}
/**
 * distance of the variant from the float32 model, measured on text that it was not calibrated on
 */
export interface Fidelity {
  /**
   * pytorch: the checkpoint in PyTorch; trunk: the fp32 graph of this bundle in ONNX Runtime
   */
  reference: 'pytorch' | 'trunk';
  text: MeasuredText3;
  /**
   * KL divergence of the variant's next-token distribution from the reference's, in nats: mean over positions
   */
  kl_mean: number;
  /**
   * its 99th percentile
   */
  kl_p99: number;
  /**
   * share of positions whose likeliest token is the reference's
   */
  top1: number;
  /**
   * mean share of the reference's five likeliest tokens among the variant's five
   */
  top5: number;
  perplexity?: number;
  reference_perplexity?: number;
  /**
   * @maxItems 32768
   */
  activations: ActivationFidelity[];
  bounds: FidelityBounds;
  within_bounds: boolean;
}
/**
 * the error of one kind of activation in one layer
 */
export interface ActivationFidelity {
  kind: string;
  layer: number | null;
  /**
   * norm of the difference over norm of the reference
   */
  relative_error: number;
  cosine: number;
}
/**
 * the largest kl_mean and the smallest top1 that are accepted
 */
export interface FidelityBounds {
  kl_mean: number;
  top1: number;
}
/**
 * the expected activations of a short text, in a safetensors file, and the bound of their error; readers run the text on their own device and compare. See ACTIVATIONS_CONTRACT.md
 */
export interface ReferencePassRecord {
  path: Path;
  /**
   * pytorch: transformers' own model with the weights that this variant's encoding stands for; runtime: this variant in ONNX Runtime on the exporter's machine
   */
  reference: 'pytorch' | 'runtime';
  /**
   * the program that computed it, with its version
   */
  runtime: string;
  /**
   * largest: the largest difference over the largest value of the reference; norm: the norm of the difference over the reference's
   */
  measure: 'largest' | 'norm';
  /**
   * the largest allowed error of each kind of activation, on any device
   */
  bounds: {
    [k: string]: number;
  };
}
/**
 * the program that wrote the bundle
 */
export interface ExporterRecord {
  name: string;
  version: string;
  libraries?: {
    [k: string]: string;
  };
}

/**
 * one change at one joint; without head, neuron, position, key or row, at all of them. No field may be unknown: a reader that left one out would change more than is meant
 */
export type Edit =
  | ScaleEdit
  | AddEdit
  | ReplaceEdit
  | KnockOutEdit
  | ProjectOutEdit
  | CapEdit
  | SwapEdit
  | ClampEdit;
/**
 * a number, one for each of the joint's last dimension, or what broadcasts to the whole joint
 */
export type Numbers = number | number[] | EditTensor;
/**
 * one number for each of the joint's last dimension, of any length but 0
 *
 * @minItems 1
 */
export type Direction = number[];
/**
 * one number for each of a token's values at the joint: those of its heads one after another, or of the one head that is named. It is taken as it is, not divided by its length
 *
 * @minItems 1
 */
export type Feature = number[];

/**
 * Changes to a forward pass, those of one joint in this order: one form for Python and the page.
 */
export interface EditsDocument {
  /**
   * version of this form, major.minor
   */
  edits_version: string;
  edits: Edit[];
}
/**
 * multiplies by a factor; 0, the default, switches off
 */
export interface ScaleEdit {
  edit: 'scale';
  /**
   * a kind of activation that is a joint, such as attn_z
   */
  joint: string;
  layer: number;
  /**
   * heads; key heads of k and v
   */
  head?: number | number[];
  /**
   * numbers of the last dimension
   */
  neuron?: number | number[];
  /**
   * tokens; of attn_scores and attn_probs those that look
   */
  position?: number | number[] | Stretch;
  /**
   * tokens that are looked at: of attn_scores and attn_probs alone
   */
  key?: number | number[] | Stretch;
  /**
   * texts of the batch
   */
  row?: number | number[];
  /**
   * 0 where it is not given
   */
  factor?: number;
}
/**
 * from start up to stop, which is left out; from the first or to the last where they are not given, generated tokens too
 */
export interface Stretch {
  start?: number;
  stop?: number;
}
/**
 * adds numbers, times a strength
 */
export interface AddEdit {
  edit: 'add';
  /**
   * a kind of activation that is a joint, such as attn_z
   */
  joint: string;
  layer: number;
  /**
   * heads; key heads of k and v
   */
  head?: number | number[];
  /**
   * numbers of the last dimension
   */
  neuron?: number | number[];
  /**
   * tokens; of attn_scores and attn_probs those that look
   */
  position?: number | number[] | Stretch;
  /**
   * tokens that are looked at: of attn_scores and attn_probs alone
   */
  key?: number | number[] | Stretch;
  /**
   * texts of the batch
   */
  row?: number | number[];
  vector: Numbers;
  /**
   * 1 where it is not given
   */
  strength?: number;
}
/**
 * numbers of several dimensions, the last one's next to each other
 */
export interface EditTensor {
  /**
   * @minItems 1
   * @maxItems 4
   */
  shape: number[];
  /**
   * @minItems 1
   */
  values: number[];
}
/**
 * puts in other values
 */
export interface ReplaceEdit {
  edit: 'replace';
  /**
   * a kind of activation that is a joint, such as attn_z
   */
  joint: string;
  layer: number;
  /**
   * heads; key heads of k and v
   */
  head?: number | number[];
  /**
   * numbers of the last dimension
   */
  neuron?: number | number[];
  /**
   * tokens; of attn_scores and attn_probs those that look
   */
  position?: number | number[] | Stretch;
  /**
   * tokens that are looked at: of attn_scores and attn_probs alone
   */
  key?: number | number[] | Stretch;
  /**
   * texts of the batch
   */
  row?: number | number[];
  /**
   * a number, one for each of the joint's last dimension, or what broadcasts to the whole joint
   */
  value: number | number[] | EditTensor;
}
/**
 * lets queries see nothing of keys
 */
export interface KnockOutEdit {
  edit: 'knock-out';
  layer: number;
  /**
   * heads; key heads of k and v
   */
  head?: number | number[];
  /**
   * tokens that look
   */
  query?: number | number[] | Stretch;
  /**
   * tokens that are looked at: of attn_scores and attn_probs alone
   */
  key?: number | number[] | Stretch;
  /**
   * texts of the batch
   */
  row?: number | number[];
}
/**
 * takes away the component along a direction
 */
export interface ProjectOutEdit {
  edit: 'project-out';
  /**
   * a kind of activation that is a joint, such as attn_z
   */
  joint: string;
  layer: number;
  /**
   * heads; key heads of k and v
   */
  head?: number | number[];
  /**
   * tokens; of attn_scores and attn_probs those that look
   */
  position?: number | number[] | Stretch;
  /**
   * texts of the batch
   */
  row?: number | number[];
  direction: Direction;
  /**
   * 1 where it is not given; 2 mirrors
   */
  amount?: number;
}
/**
 * lowers the component along a direction to a limit where it is above
 */
export interface CapEdit {
  edit: 'cap';
  /**
   * a kind of activation that is a joint, such as attn_z
   */
  joint: string;
  layer: number;
  /**
   * heads; key heads of k and v
   */
  head?: number | number[];
  /**
   * tokens; of attn_scores and attn_probs those that look
   */
  position?: number | number[] | Stretch;
  /**
   * texts of the batch
   */
  row?: number | number[];
  direction: Direction;
  limit: number;
}
/**
 * exchanges two directions by mirroring along the difference of their unit vectors
 */
export interface SwapEdit {
  edit: 'swap';
  /**
   * a kind of activation that is a joint, such as attn_z
   */
  joint: string;
  layer: number;
  /**
   * heads; key heads of k and v
   */
  head?: number | number[];
  /**
   * tokens; of attn_scores and attn_probs those that look
   */
  position?: number | number[] | Stretch;
  /**
   * texts of the batch
   */
  row?: number | number[];
  first: Direction;
  second: Direction;
  /**
   * 1 where it is not given
   */
  amount?: number;
}
/**
 * sets a feature of a dictionary to a value: adds (value - f) * direction, where f is x . encoder + bias if that is above threshold, else 0. From 1.1 on
 */
export interface ClampEdit {
  edit: 'clamp';
  /**
   * a kind of activation that is a joint, such as attn_z
   */
  joint: string;
  layer: number;
  /**
   * the head that the feature reads and writes; all of a token's heads where it is not given
   */
  head?: number;
  /**
   * tokens
   */
  position?: number | number[] | Stretch;
  /**
   * texts of the batch
   */
  row?: number | number[];
  encoder: Feature;
  /**
   * 0 where it is not given
   */
  bias?: number;
  /**
   * 0 where it is not given
   */
  threshold?: number;
  direction: Feature;
  value: number;
}

/**
 * plain text in one language for all readers, or in both of the page's: empty lines part paragraphs, lines that begin with - are a list, *emphasis*, `a token`, [[id of a glossary term]]
 */
export type Text = string | TwoLanguages;
/**
 * one thing that must be so, of the run with the state's edits; at the text's last token unless it says otherwise. No field may be unknown: a reader that left one out would check something else
 */
export type Claim =
  | ProbabilityClaim
  | LikeliestClaim
  | DifferenceClaim
  | LensClaim
  | AttentionClaim
  | AttributionClaim
  | DrawnClaim
  | KeptClaim;
/**
 * the text of exactly one token, with the space that belongs to it
 */
export type Token = string;
/**
 * layer and head, as 7.2
 */
export type Head = string;
/**
 * a question with choices, or with an answer that the reader writes
 */
export type Question = ChoiceQuestion | WrittenQuestion;

/**
 * A lesson: steps that each put the page into a state, say what to look at, and claim what is seen there. Written by teachers, read by the page and by `oriel lesson check`; may come from anyone.
 */
export interface LessonDocument {
  /**
   * version of this form, major.minor
   */
  lesson_version: string;
  /**
   * name of the model that the claims hold for, as the page's list of models has it; without it the lesson takes whichever is open
   */
  model?: string;
  title: Text;
  introduction: Text;
  /**
   * @minItems 1
   * @maxItems 40
   */
  steps: LessonStep[];
}
/**
 * a text in both of the page's languages
 */
export interface TwoLanguages {
  en: string;
  zh: string;
}
/**
 * a state of the page, what to look at there, and what is seen
 */
export interface LessonStep {
  title: Text;
  text: Text;
  /**
   * the page's state when the step begins
   */
  state: string;
  /**
   * the page's state once the reader has done what the step asks for, which the page does for them on request; the claims hold there, else at state
   */
  done?: string;
  /**
   * id of the view to look at
   */
  view?: string;
  expect?: Expectation;
  question?: Question;
}
/**
 * what the reader sees: in words, and as claims that are checked
 */
export interface Expectation {
  text: Text;
  /**
   * @minItems 1
   * @maxItems 8
   */
  claims: Claim[];
}
/**
 * the next token's probability, softmax of the logits
 */
export interface ProbabilityClaim {
  claim: 'probability';
  token: Token;
  least: number;
  most: number;
}
/**
 * the token that the model expects most
 */
export interface LikeliestClaim {
  claim: 'likeliest';
  token: Token;
}
/**
 * logit of a token minus another's
 */
export interface DifferenceClaim {
  claim: 'difference';
  token: Token;
  other: Token;
  least: number;
  most: number;
}
/**
 * the likeliest token after a layer, read through the state's lens
 */
export interface LensClaim {
  claim: 'lens';
  layer: number;
  token: Token;
}
/**
 * the share of a head's attention that goes from one token to another, by their places in the text, the first being 0
 */
export interface AttentionClaim {
  claim: 'attention';
  head: Head;
  from: number;
  to: number;
  least: number;
  most: number;
}
/**
 * the heads with the largest shares in a token's logit, or in its difference from another's, the largest first
 */
export interface AttributionClaim {
  claim: 'attribution';
  token: Token;
  other?: Token;
  /**
   * @minItems 1
   * @maxItems 8
   */
  heads: Head[];
}
/**
 * the probability that sampling, set as the state has it, draws the token; 0 where it is cut
 */
export interface DrawnClaim {
  claim: 'drawn';
  token: Token;
  least: number;
  most: number;
}
/**
 * the number of tokens that sampling, set as the state has it, may draw
 */
export interface KeptClaim {
  claim: 'kept';
  least: number;
  most: number;
}
/**
 * a question with choices, each with a reply
 */
export interface ChoiceQuestion {
  text: Text;
  /**
   * @minItems 2
   * @maxItems 8
   */
  choices: LessonChoice[];
}
/**
 * a choice, and what is said of it
 */
export interface LessonChoice {
  text: Text;
  right: boolean;
  /**
   * plain text in one language for all readers, or in both of the page's: empty lines part paragraphs, lines that begin with - are a list, *emphasis*, `a token`, [[id of a glossary term]]
   */
  reply: string | TwoLanguages;
}
/**
 * a question whose answer the reader writes
 */
export interface WrittenQuestion {
  text: Text;
  /**
   * what counts as right, however it is spaced and capitalised
   *
   * @minItems 1
   * @maxItems 8
   */
  answers: Token[];
  /**
   * plain text in one language for all readers, or in both of the page's: empty lines part paragraphs, lines that begin with - are a list, *emphasis*, `a token`, [[id of a glossary term]]
   */
  reply: string | TwoLanguages;
}

export type Bytes = number;

/**
 * The dashboards of one kind of unit in one layer: the Parquet files that hold them, and the range and the digest of each part that a reader takes. A reader takes this index, the footer of one file, and one group of its rows. May come from anyone.
 */
export interface DashboardIndex {
  /**
   * version of this form and of the tables' columns, major.minor
   */
  dashboards_version: string;
  /**
   * weights_digest of the model that the units are of
   */
  weights: string;
  kind: string;
  layer: number;
  units: number;
  /**
   * in the order of their units, which follow one another from 0 on
   *
   * @minItems 1
   * @maxItems 32768
   */
  files: DashboardFile[];
}
/**
 * a Parquet file, sorted by unit
 */
export interface DashboardFile {
  /**
   * beside the index
   */
  path: string;
  bytes: Bytes;
  digest: string;
  units: number;
  footer: DashboardRange;
  /**
   * @minItems 1
   * @maxItems 512
   */
  row_groups: DashboardRows[];
}
/**
 * bytes of a file: the page index and the footer, up to the file's end
 */
export interface DashboardRange {
  /**
   * byte offset in the file
   */
  begin: number;
  bytes: Bytes;
  digest: string;
}
/**
 * a group of rows, and the bytes of all its columns
 */
export interface DashboardRows {
  /**
   * rows of the group, a unit each
   */
  units: number;
  /**
   * byte offset in the file
   */
  begin: number;
  bytes: Bytes;
  digest: string;
}
