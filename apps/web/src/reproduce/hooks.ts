// The hooks that read or change what flows at a place of a model, a row for each kind of activation.
import type { ActivationKind, ModelShape } from '../contract/generated';
import type { ModulePaths } from './module_paths';
import type { HelperName } from './python_helpers';
import { pythonString } from './python_text';

export interface Place {
  readonly joint: ActivationKind;
  /** 0 for activations of the whole model. */
  readonly layer: number;
}

interface Hook {
  readonly helper: HelperName;
  /** Arguments of the helper; null where it acts for all layers alike. */
  readonly call: ((at: HookedAt) => readonly string[]) | null;
}

interface HookedAt {
  readonly paths: ModulePaths;
  readonly shape: ModelShape;
  readonly layer: number;
}

/** A hook that depends on how the model's parts are put together. */
type ChosenHook = (paths: ModulePaths, shape: ModelShape) => Hook;

const ATTENTION: ChosenHook = ({ products }) =>
  products === null
    ? { helper: 'attention', call: null }
    : {
        helper: 'on_products',
        call: ({ paths, layer }) => [
          pythonString(`${paths.blocks}.${layer}.${products}`),
          String(layer),
        ],
      };

const ROUTER: Hook = {
  helper: 'on_router',
  call: ({ paths, layer }) => [
    pythonString(`${paths.blocks}.${layer}.${paths.router ?? paths.mlp}`),
    String(layer),
  ],
};

/** Between attention and MLP; where the stream itself is normed, the norm gives it. */
const MIDDLE: ChosenHook = (_, { post_norm: isNormed = false }) =>
  isNormed
    ? inBlock('on_output', 'resid_mid', ({ mlpNorm }) => mlpNorm)
    : {
        helper: 'on_middle',
        call: ({ paths, layer }) => [
          pythonString(`${paths.blocks}.${layer}`),
          pythonString(`${paths.blocks}.${layer}.${paths.attentionAdded ?? paths.attention}`),
          String(layer),
          ...factorOf(paths, layer),
        ],
      };

function inBlock(
  helper: HelperName,
  joint: ActivationKind,
  path: (paths: ModulePaths) => string,
): Hook {
  return {
    helper,
    call: ({ paths, layer }) => [
      pythonString([paths.blocks, layer, path(paths)].filter((part) => part !== '').join('.')),
      pythonString(joint),
      String(layer),
    ],
  };
}

/** Return the hook of what a part adds to the stream. */
function added(joint: ActivationKind, path: (paths: ModulePaths) => string): Hook {
  const { helper, call } = inBlock('on_output', joint, path);
  return { helper, call: (at) => [...(call?.(at) ?? []), ...factorOf(at.paths, at.layer)] };
}

/** Return the argument for the number with which the block multiplies what a part gives. */
function factorOf({ blocks, residualMultiplier }: ModulePaths, layer: number): string[] {
  if (residualMultiplier === null) return [];
  return [
    `factor=model.get_submodule(${pythonString(`${blocks}.${layer}`)}).${residualMultiplier}`,
  ];
}

/** By kind; a kind that is missing has no script. In the order in which several at one module must be registered. */
const HOOKS: Partial<Record<ActivationKind, Hook | ChosenHook>> = {
  resid_pre: inBlock('on_input', 'resid_pre', () => ''),
  q: ATTENTION,
  k: ATTENTION,
  v: ATTENTION,
  attn_scores: ATTENTION,
  attn_probs: ATTENTION,
  attn_z: {
    helper: 'on_heads',
    call: ({ paths, shape, layer }: HookedAt) => [
      pythonString(`${paths.blocks}.${layer}.${paths.attentionOutputMatrix}`),
      pythonString('attn_z'),
      String(layer),
      `heads=${shape.heads}`,
    ],
  },
  attn_output_raw: inBlock('on_output', 'attn_output_raw', ({ attention }) => attention),
  attn_output: added('attn_output', ({ attention, attentionAdded }) => attentionAdded ?? attention),
  resid_mid: MIDDLE,
  mlp_pre: inBlock('on_input', 'mlp_pre', ({ mlpNonlinearity }) => mlpNonlinearity),
  mlp_gate: inBlock('on_output', 'mlp_gate', ({ mlpNonlinearity }) => mlpNonlinearity),
  mlp_linear: {
    helper: 'on_output',
    call: ({ paths, layer }: HookedAt) => [
      pythonString(`${paths.blocks}.${layer}.${paths.mlpLinear ?? paths.mlp}`),
      pythonString('mlp_linear'),
      String(layer),
      ...(paths.fusedMlp ? ['half=1'] : []),
    ],
  },
  mlp_act: inBlock('on_input', 'mlp_act', ({ mlpOutputMatrix }) => mlpOutputMatrix),
  mlp_output_raw: inBlock('on_output', 'mlp_output_raw', ({ mlp }) => mlp),
  mlp_output: added('mlp_output', ({ mlp, mlpAdded }) => mlpAdded ?? mlp),
  router_logits: ROUTER,
  router_probs: ROUTER,
  expert_ids: ROUTER,
  expert_weights: ROUTER,
  resid_post: inBlock('on_output', 'resid_post', () => ''),
  final_norm: {
    helper: 'on_output',
    call: ({ paths, shape }: HookedAt) => [
      pythonString(paths.finalNorm ?? `${paths.blocks}.${shape.layers - 1}`),
      pythonString('final_norm'),
      '0',
    ],
  },
};

/** Return whether a script can read and change activations of this kind. */
export function isHooked(kind: ActivationKind): boolean {
  return HOOKS[kind] !== undefined;
}

/** Return whether the places lie inside attention, so that the script's own takes its place or watches it. */
export function needsAttention(places: readonly Place[]): boolean {
  return places.some(({ joint }) => HOOKS[joint] === ATTENTION);
}

/** Return the helpers and the lines that register hooks at these places, each once. */
export function hooksAt(
  places: readonly Place[],
  paths: ModulePaths,
  shape: ModelShape,
): { helpers: HelperName[]; lines: string[] } {
  const helpers: HelperName[] = [];
  const lines = new Set<string>();
  const kinds = Object.keys(HOOKS) as ActivationKind[];
  // resid_mid is changed behind attn_output, whatever the order of the edits.
  const ordered = kinds.flatMap((kind) => places.filter(({ joint }) => joint === kind));
  for (const { joint, layer } of ordered) {
    const row = HOOKS[joint];
    if (row === undefined) continue;
    const hook = typeof row === 'function' ? row(paths, shape) : row;
    helpers.push(hook.helper);
    if (hook.call !== null)
      lines.add(`${hook.helper}(${hook.call({ paths, shape, layer }).join(', ')})`);
  }
  return { helpers, lines: [...lines] };
}
