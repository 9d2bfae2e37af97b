// Where transformers keeps the parts of each architecture, as paths of `named_modules`; those of a block begin at the
// block. An architecture of the manifest that has no row here has no script. The exporter's own rows:
// oriel/models/architectures, with which a test compares these.

import { pythonString } from './python_text';

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
  readonly norm: NormForm;
  readonly unembedding: string;
  /** The norm between attention and the stream; null where there is none. */
  readonly attentionAdded: string | null;
  /** The same of the MLP. */
  readonly mlpAdded: string | null;
  /** The block's attribute with which it multiplies both outputs before it adds them. */
  readonly residualMultiplier: string | null;
  /** The output of mlpLinear has two halves, of which the second is mlp_linear. */
  readonly fusedMlp: boolean;
  /** What becomes of the unembedding's output, in Python, of `logits`; null where these are the logits. */
  readonly finish: string | null;
}

/** The final norm, as Python expressions of the module `norm`. */
interface NormForm {
  /** True for LayerNorm, which subtracts the mean; false for RMSNorm. */
  readonly centered: boolean;
  readonly epsilon: string;
  /** What the normed stream is multiplied with; null for nothing. */
  readonly weight: string | null;
  readonly bias: string | null;
}

const LAYER_NORM: NormForm = {
  centered: true,
  epsilon: 'norm.eps',
  weight: 'norm.weight',
  bias: 'norm.bias',
};
const RMS_NORM: NormForm = {
  centered: false,
  epsilon: 'norm.variance_epsilon',
  weight: 'norm.weight',
  bias: null,
};
const GEMMA_NORM: NormForm = { ...RMS_NORM, epsilon: 'norm.eps', weight: '(1 + norm.weight)' };
const NO_MORE = {
  attentionAdded: null,
  mlpAdded: null,
  residualMultiplier: null,
  fusedMlp: false,
  finish: null,
} as const;

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
  norm: RMS_NORM,
  unembedding: 'lm_head',
  ...NO_MORE,
};

const GEMMA2: ModulePaths = {
  ...LLAMA,
  mlpNorm: 'pre_feedforward_layernorm',
  attentionAdded: 'post_attention_layernorm',
  mlpAdded: 'post_feedforward_layernorm',
  norm: GEMMA_NORM,
  // A config without a cap says None.
  finish:
    '(logits if (cap := model.config.final_logit_softcapping) is None else (logits / cap).tanh() * cap)',
};

export const MODULE_PATHS: Readonly<Record<string, ModulePaths>> = {
  cohere: {
    ...LLAMA,
    mlpNorm: 'input_layernorm',
    norm: { ...LAYER_NORM, epsilon: 'norm.variance_epsilon', bias: null },
    finish: 'logits * model.config.logit_scale',
  },
  gemma: { ...LLAMA, norm: GEMMA_NORM },
  gemma2: GEMMA2,
  gemma3_text: GEMMA2,
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
    norm: LAYER_NORM,
    unembedding: 'lm_head',
    ...NO_MORE,
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
    norm: LAYER_NORM,
    unembedding: 'lm_head',
    ...NO_MORE,
  },
  granite: {
    ...LLAMA,
    residualMultiplier: 'residual_multiplier',
    finish: 'logits / model.config.logits_scaling',
  },
  llama: LLAMA,
  mistral: LLAMA,
  mixtral: LLAMA,
  olmo: { ...LLAMA, norm: { ...LAYER_NORM, epsilon: '1e-5', weight: null, bias: null } },
  olmo2: {
    ...LLAMA,
    mlpNorm: 'mlp',
    attentionAdded: 'post_attention_layernorm',
    mlpAdded: 'post_feedforward_layernorm',
  },
  olmoe: LLAMA,
  phi: {
    ...LLAMA,
    attentionOutputMatrix: 'self_attn.dense',
    mlpNorm: 'input_layernorm',
    mlpNonlinearity: 'mlp.activation_fn',
    mlpLinear: null,
    mlpOutputMatrix: 'mlp.fc2',
    finalNorm: 'model.final_layernorm',
    norm: LAYER_NORM,
  },
  phi3: {
    ...LLAMA,
    mlpNonlinearity: 'mlp.activation_fn',
    mlpLinear: 'mlp.gate_up_proj',
    fusedMlp: true,
  },
  qwen2: LLAMA,
  qwen3: LLAMA,
  qwen3_moe: LLAMA,
  smollm3: LLAMA,
  stablelm: { ...LLAMA, norm: LAYER_NORM },
  starcoder2: {
    ...LLAMA,
    mlpNonlinearity: 'mlp.act',
    mlpLinear: null,
    mlpOutputMatrix: 'mlp.c_proj',
    norm: LAYER_NORM,
  },
};

/** Return the line that defines `norm` and those that compute its divisor of a stream, in Python. */
export function divisorLines({ finalNorm, norm }: ModulePaths, stream: string): string[] {
  const size = norm.centered ? `${stream}.var(unbiased=False)` : `${stream}.pow(2).mean()`;
  return [
    `norm = model.get_submodule(${pythonString(finalNorm)})`,
    `divisor = (${size} + ${norm.epsilon}).sqrt()`,
  ];
}

/** Return a part of the stream behind the final norm, with the whole stream's divisor, in Python. */
export function normed({ norm }: ModulePaths, part: string): string {
  const shifted = norm.centered ? `(${part} - ${part}.mean())` : part;
  return `${shifted} / divisor${norm.weight === null ? '' : ` * ${norm.weight}`}`;
}

/** Return the lines that define `read`, which makes logits of a stream, in Python. */
export function readLines({ finalNorm, unembedding, finish }: ModulePaths): string[] {
  return [
    `norm = model.get_submodule(${pythonString(finalNorm)})`,
    `unembedding = model.get_submodule(${pythonString(unembedding)})`,
    'def read(stream):',
    ...(finish === null
      ? ['    return unembedding(norm(stream))']
      : ['    logits = unembedding(norm(stream))', `    return ${finish}`]),
  ];
}

/** Return the paths of an architecture; null where none are known. */
export function modulePathsOf(architecture: string): ModulePaths | null {
  return Object.hasOwn(MODULE_PATHS, architecture) ? (MODULE_PATHS[architecture] ?? null) : null;
}
