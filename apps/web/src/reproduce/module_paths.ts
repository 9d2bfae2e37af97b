// The places where transformers keeps the parts of each architecture, as paths of `named_modules`; those of a block
// begin at the block. An architecture of the manifest that has no row here has no script. The exporter's own rows:
// oriel/models/architectures, with which a test compares these.

import type { ModelRecord } from '../contract/generated';
import { pythonList, pythonString } from './python_text';

export interface ModulePaths {
  readonly blocks: string;
  readonly attention: string;
  /** Its input is attn_z, heads side by side. */
  readonly attentionOutputMatrix: string;
  /** The module that multiplies and takes the softmax itself; null where it calls transformers' attention function. */
  readonly products: string | null;
  /** Conv1D multiplies by its weight, Linear by the weight's transpose. */
  readonly matrix: 'conv1d' | 'linear';
  /** Its input is resid_mid; where the stream itself is normed, its output is. */
  readonly mlpNorm: string;
  readonly mlp: string;
  /** Its input is mlp_pre; in a gated MLP its output is mlp_gate. */
  readonly mlpNonlinearity: string;
  /** Its output is mlp_linear; null where the MLP is not gated. */
  readonly mlpLinear: string | null;
  /** Its input is mlp_act. */
  readonly mlpOutputMatrix: string;
  /** Null where the last block ends with a norm of its own. */
  readonly finalNorm: string | null;
  /** Null where what is normed isn't multiplied with the unembedding alone. */
  readonly norm: NormForm | null;
  readonly unembedding: string;
  /** Modules that make logits of final_norm, where these aren't the unembedding alone: those that the model has. */
  readonly head: readonly string[];
  /** In layers with experts, the module that returns logits, weights and ids; null in models without. */
  readonly router: string | null;
  /** The norm between attention and the stream; null where there is none. */
  readonly attentionAdded: string | null;
  /** The same of the MLP. */
  readonly mlpAdded: string | null;
  /** The block's attribute with which it multiplies both outputs before it adds them. */
  readonly residualMultiplier: string | null;
  /** The output of mlpLinear has two halves, of which the second is mlp_linear. */
  readonly fusedMlp: boolean;
  /** The expression in Python that follows the unembedding, of `logits`; null where these are the logits. */
  readonly finish: string | null;
  /** The position of a text's first token, in Python, where the model wouldn't count from there by itself. */
  readonly firstPosition: string | null;
  /** Lines of Python behind the one that makes the model. */
  readonly prepare: readonly string[];
}

/** The final norm, as Python expressions of the module `norm`. */
interface NormForm {
  /** True for LayerNorm, which subtracts the mean; false for RMSNorm. */
  readonly centered: boolean;
  readonly epsilon: string;
  /** The factor of the normed stream; null for nothing. */
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
  products: null,
  head: [],
  router: null,
  attentionAdded: null,
  mlpAdded: null,
  residualMultiplier: null,
  fusedMlp: false,
  finish: null,
  firstPosition: null,
  prepare: [],
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

const MIXTURE: ModulePaths = { ...LLAMA, router: 'mlp.gate' };

const GPT2: ModulePaths = {
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
};

const BERT: ModulePaths = {
  blocks: 'bert.encoder.layer',
  attention: 'attention.output.dense',
  attentionOutputMatrix: 'attention.output.dense',
  matrix: 'linear',
  mlpNorm: 'attention.output.LayerNorm',
  mlp: 'output.dense',
  mlpNonlinearity: 'intermediate.intermediate_act_fn',
  mlpLinear: null,
  mlpOutputMatrix: 'output.dense',
  finalNorm: null,
  norm: null,
  unembedding: 'cls.predictions.decoder',
  ...NO_MORE,
  head: ['cls'],
};

export const MODULE_PATHS: Readonly<Record<string, ModulePaths>> = {
  bert: BERT,
  bloom: {
    ...GPT2,
    attention: 'self_attention.dense',
    attentionOutputMatrix: 'self_attention.dense',
    products: 'self_attention',
    matrix: 'linear',
    mlpNorm: 'post_attention_layernorm',
    mlp: 'mlp.dense_4h_to_h',
    mlpNonlinearity: 'mlp.gelu_impl',
    mlpOutputMatrix: 'mlp.dense_4h_to_h',
  },
  cohere: {
    ...LLAMA,
    mlpNorm: 'input_layernorm',
    norm: { ...LAYER_NORM, epsilon: 'norm.variance_epsilon', bias: null },
    finish: 'logits * model.config.logit_scale',
  },
  distilbert: {
    ...BERT,
    blocks: 'distilbert.transformer.layer',
    attention: 'attention',
    attentionOutputMatrix: 'attention.out_lin',
    mlpNorm: 'sa_layer_norm',
    mlp: 'ffn',
    mlpNonlinearity: 'ffn.activation',
    mlpOutputMatrix: 'ffn.lin2',
    unembedding: 'vocab_projector',
    head: ['vocab_transform', 'activation', 'vocab_layer_norm', 'vocab_projector'],
    prepare: [
      '# Its attention modules do not know their layer.',
      'for layer, block in enumerate(model.distilbert.transformer.layer):',
      '    block.attention.layer_idx = layer',
    ],
  },
  electra: {
    ...BERT,
    blocks: 'electra.encoder.layer',
    unembedding: 'generator_lm_head',
    head: ['generator_predictions', 'generator_lm_head'],
  },
  falcon: {
    ...GPT2,
    attention: 'self_attention',
    attentionOutputMatrix: 'self_attention.dense',
    products: 'self_attention',
    matrix: 'linear',
    mlpNorm: 'post_attention_layernorm',
    mlpOutputMatrix: 'mlp.dense_4h_to_h',
    prepare: [
      '# Eager attention adds ALiBi twice, in its mask and beside it; other attention adds it once.',
      'def add_once(_module, args, named):',
      '    if named["alibi"] is not None:',
      '        named["alibi"] = torch.zeros_like(named["alibi"])',
      '    return args, named',
      '',
      '',
      'for block in model.transformer.h:',
      '    block.self_attention.register_forward_pre_hook(add_once, with_kwargs=True)',
    ],
  },
  gemma: { ...LLAMA, norm: GEMMA_NORM },
  gemma2: GEMMA2,
  gemma3_text: GEMMA2,
  gpt2: GPT2,
  gpt_neo: {
    ...GPT2,
    attention: 'attn.attention',
    attentionOutputMatrix: 'attn.attention.out_proj',
    products: 'attn.attention',
    matrix: 'linear',
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
  gptj: {
    ...GPT2,
    attentionOutputMatrix: 'attn.out_proj',
    products: 'attn',
    matrix: 'linear',
    mlpNorm: 'ln_1',
    mlpOutputMatrix: 'mlp.fc_out',
  },
  granite: {
    ...LLAMA,
    residualMultiplier: 'residual_multiplier',
    finish: 'logits / model.config.logits_scaling',
  },
  llama: LLAMA,
  mistral: LLAMA,
  mixtral: MIXTURE,
  modernbert: {
    ...LLAMA,
    attention: 'attn',
    attentionOutputMatrix: 'attn.Wo',
    mlpNorm: 'mlp_norm',
    mlpNonlinearity: 'mlp.act',
    mlpLinear: 'mlp.Wi',
    mlpOutputMatrix: 'mlp.Wo',
    fusedMlp: true,
    finalNorm: 'model.final_norm',
    norm: null,
    unembedding: 'decoder',
    head: ['head', 'decoder'],
  },
  olmo: { ...LLAMA, norm: { ...LAYER_NORM, epsilon: '1e-5', weight: null, bias: null } },
  olmo2: {
    ...LLAMA,
    mlpNorm: 'mlp',
    attentionAdded: 'post_attention_layernorm',
    mlpAdded: 'post_feedforward_layernorm',
  },
  olmoe: MIXTURE,
  opt: {
    ...LLAMA,
    blocks: 'model.decoder.layers',
    attentionOutputMatrix: 'self_attn.out_proj',
    mlpNorm: 'final_layer_norm',
    mlp: 'fc2',
    mlpNonlinearity: 'activation_fn',
    mlpLinear: null,
    mlpOutputMatrix: 'fc2',
    finalNorm: 'model.decoder.final_layer_norm',
    norm: {
      ...LAYER_NORM,
      // A config may leave both out.
      weight: '(1.0 if norm.weight is None else norm.weight)',
      bias: '(torch.zeros_like(direction) if norm.bias is None else norm.bias)',
    },
    head: ['model.decoder.project_out', 'lm_head'],
  },
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
  qwen3_moe: MIXTURE,
  roberta: {
    ...BERT,
    blocks: 'roberta.encoder.layer',
    unembedding: 'lm_head.decoder',
    head: ['lm_head'],
    // By itself it leaves out tokens with the id of padding.
    firstPosition: 'model.config.pad_token_id + 1',
  },
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

/** The differences where the stream itself is normed, in an architecture that has models of both kinds. */
const WITH_NORMED_STREAM: Readonly<Record<string, Partial<ModulePaths>>> = {
  opt: { mlpNorm: 'self_attn_layer_norm', finalNorm: null, norm: null },
};

/** The final norm of a model whose logits are its product with the unembedding. */
export interface FinalNorm {
  readonly path: string;
  readonly form: NormForm;
}

/** Return the final norm; null where logits aren't its product with the unembedding. */
export function finalNormOf({ finalNorm, norm }: ModulePaths): FinalNorm | null {
  return finalNorm === null || norm === null ? null : { path: finalNorm, form: norm };
}

/** Return the line that defines `norm` and those that compute its divisor of a stream, in Python. */
export function divisorLines({ path, form: norm }: FinalNorm, stream: string): string[] {
  const size = norm.centered ? `${stream}.var(unbiased=False)` : `${stream}.pow(2).mean()`;
  return [
    `norm = model.get_submodule(${pythonString(path)})`,
    `divisor = (${size} + ${norm.epsilon}).sqrt()`,
  ];
}

/** Return a part of the stream behind the final norm, with the whole stream's divisor, in Python. */
export function normed({ form: norm }: FinalNorm, part: string): string {
  const shifted = norm.centered ? `(${part} - ${part}.mean())` : part;
  return `${shifted} / divisor${norm.weight === null ? '' : ` * ${norm.weight}`}`;
}

/** Return the lines that define `read`, which makes logits of a stream, in Python. */
export function readLines({ finalNorm, unembedding, head, finish }: ModulePaths): string[] {
  if (finalNorm === null || head.length > 0) {
    const names = [...(finalNorm === null ? [] : [finalNorm]), ...head].map(pythonString);
    return [
      `names = ${pythonList(names)}`,
      'modules = dict(model.named_modules())',
      'head = [modules[name] for name in names if name in modules]',
      'def read(stream):',
      '    for module in head:',
      '        stream = module(stream)',
      '    return stream',
    ];
  }
  return [
    `norm = model.get_submodule(${pythonString(finalNorm)})`,
    `unembedding = model.get_submodule(${pythonString(unembedding)})`,
    'def read(stream):',
    ...(finish === null
      ? ['    return unembedding(norm(stream))']
      : ['    logits = unembedding(norm(stream))', `    return ${finish}`]),
  ];
}

/** Return the paths of a model's parts; null where those of its architecture aren't known. */
export function modulePathsOf({
  architecture,
  shape,
}: Pick<ModelRecord, 'architecture' | 'shape'>): ModulePaths | null {
  const paths = ownEntry(MODULE_PATHS, architecture);
  if (paths === null || shape.post_norm !== true) return paths;
  return { ...paths, ...ownEntry(WITH_NORMED_STREAM, architecture) };
}

function ownEntry<T>(table: Readonly<Record<string, T>>, key: string): T | null {
  return Object.hasOwn(table, key) ? (table[key] ?? null) : null;
}
