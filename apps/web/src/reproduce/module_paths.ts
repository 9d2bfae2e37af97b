// Where transformers keeps the parts of each architecture, as paths of `named_modules`; those of a block begin at the
// block. An architecture of the manifest that has no row here has no script, such as those whose outputs pass through a
// norm or a multiplier, whose logits are scaled, or whose MLP has one matrix for both branches. The exporter's own rows:
// oriel/models/architectures, with which a test compares these.

export interface ModulePaths {
  readonly blocks: string;
  readonly attention: string;
  /** Its input is attn_z, heads side by side. */
  readonly attentionOutputMatrix: string;
  /** Conv1D multiplies by its weight, Linear by the weight's transpose. */
  readonly matrix: 'conv1d' | 'linear';
  /** Its input is resid_mid. */
  readonly mlpNorm: string;
  readonly mlp: string;
  /** Its input is mlp_pre; in a gated MLP its output is mlp_gate. */
  readonly mlpNonlinearity: string;
  /** Its output is mlp_linear; null where the MLP is not gated. */
  readonly mlpLinear: string | null;
  /** Its input is mlp_act. */
  readonly mlpOutputMatrix: string;
  readonly finalNorm: string;
  /** LayerNorm or RMSNorm. */
  readonly norm: 'layer' | 'rms';
  readonly unembedding: string;
}

const LLAMA: ModulePaths = {
  blocks: 'model.layers',
  attention: 'self_attn',
  attentionOutputMatrix: 'self_attn.o_proj',
  matrix: 'linear',
  mlpNorm: 'post_attention_layernorm',
  mlp: 'mlp',
  mlpNonlinearity: 'mlp.act_fn',
  mlpLinear: 'mlp.up_proj',
  mlpOutputMatrix: 'mlp.down_proj',
  finalNorm: 'model.norm',
  norm: 'rms',
  unembedding: 'lm_head',
};

export const MODULE_PATHS: Readonly<Record<string, ModulePaths>> = {
  gpt2: {
    blocks: 'transformer.h',
    attention: 'attn',
    attentionOutputMatrix: 'attn.c_proj',
    matrix: 'conv1d',
    mlpNorm: 'ln_2',
    mlp: 'mlp',
    mlpNonlinearity: 'mlp.act',
    mlpLinear: null,
    mlpOutputMatrix: 'mlp.c_proj',
    finalNorm: 'transformer.ln_f',
    norm: 'layer',
    unembedding: 'lm_head',
  },
  gpt_neox: {
    blocks: 'gpt_neox.layers',
    attention: 'attention',
    attentionOutputMatrix: 'attention.dense',
    matrix: 'linear',
    mlpNorm: 'post_attention_layernorm',
    mlp: 'mlp',
    mlpNonlinearity: 'mlp.act',
    mlpLinear: null,
    mlpOutputMatrix: 'mlp.dense_4h_to_h',
    finalNorm: 'gpt_neox.final_layer_norm',
    norm: 'layer',
    unembedding: 'lm_head',
  },
  llama: LLAMA,
  mistral: LLAMA,
  phi: {
    ...LLAMA,
    attentionOutputMatrix: 'self_attn.dense',
    mlpNorm: 'input_layernorm',
    mlpNonlinearity: 'mlp.activation_fn',
    mlpLinear: null,
    mlpOutputMatrix: 'mlp.fc2',
    finalNorm: 'model.final_layernorm',
    norm: 'layer',
  },
  qwen2: LLAMA,
  qwen3: LLAMA,
  smollm3: LLAMA,
  stablelm: { ...LLAMA, norm: 'layer' },
  starcoder2: {
    ...LLAMA,
    mlpNonlinearity: 'mlp.act',
    mlpLinear: null,
    mlpOutputMatrix: 'mlp.c_proj',
    norm: 'layer',
  },
};

/** Return the paths of an architecture; null where none are known. */
export function modulePathsOf(architecture: string): ModulePaths | null {
  return Object.hasOwn(MODULE_PATHS, architecture) ? (MODULE_PATHS[architecture] ?? null) : null;
}
