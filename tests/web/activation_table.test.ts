// Names and shapes of the contract, as the page builds and reads them.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  activationName,
  activationSpec,
  activationTable,
  cachePairs,
  headScaleName,
  inputSpecs,
  layerShape,
  modelActivationNames,
  modelKinds,
  neutralValue,
  parseActivationName,
  peerAliases,
  resolveShape,
} from '../../apps/web/src/contract/activation_table';
import type { ModelShape } from '../../apps/web/src/contract/generated';

const shape: ModelShape = {
  layers: 2,
  hidden: 8,
  heads: 4,
  kv_heads: 2,
  head_dim: 2,
  intermediate: 16,
  vocab: 10,
  context_length: 32,
  parallel_residual: false,
};

test('every name that can be built is read back', () => {
  const entry = fc.constantFrom(...activationTable);
  fc.assert(
    fc.property(entry, fc.integer({ min: 0, max: 9999 }), ({ kind, per_layer }, anyLayer) => {
      const layer = per_layer ? anyLayer : null;
      expect(parseActivationName(activationName(kind, layer))).toEqual({ kind, layer });
    }),
  );
});

test.each([
  'layer_00_q',
  'layer_-1_q',
  'layer_1_qq',
  'layer_1_q ',
  'layer_q',
  'Logits',
  'layer_10000_q',
  '',
])('%j is no name of the contract', (name) => {
  expect(parseActivationName(name)).toBeNull();
});

test('a name is built only with the layer it needs', () => {
  expect(() => activationName('logits', 0)).toThrow(RangeError);
  expect(() => activationName('attn_probs', null)).toThrow(RangeError);
});

test('a model gives every kind in every layer, and no resid_mid in parallel blocks', () => {
  const names = modelActivationNames(shape);
  expect(names).toHaveLength(new Set(names).size);
  expect(names).toContain('layer_1_resid_mid');
  expect(names).not.toContain('layer_2_resid_mid');
  const parallel = modelActivationNames({ ...shape, parallel_residual: true });
  expect(names.filter((name) => !parallel.includes(name))).toEqual([
    'layer_0_resid_mid',
    'layer_1_resid_mid',
  ]);
});

test('shapes of one run', () => {
  const run = { batch: 1, seq: 3, past: 5 };
  expect(resolveShape(['batch', 4, 'seq', 'total'], run)).toEqual([1, 4, 3, 8]);
  expect(resolveShape(['delta_batch', 'delta_seq', 8], run)).toEqual([1, 1, 8]);
  expect(resolveShape(['batch', 2, 'past', 2], { ...run, past: 0 })).toEqual([1, 2, 0, 2]);
});

test('cache outputs feed the inputs of the same layer', () => {
  expect(cachePairs(2)).toEqual([
    { input: 'past_key_values.0.key', output: 'present.0.key' },
    { input: 'past_key_values.0.value', output: 'present.0.value' },
    { input: 'past_key_values.1.key', output: 'present.1.key' },
    { input: 'past_key_values.1.value', output: 'present.1.value' },
  ]);
});

test('interventions are neutral at 1 and 0, and nothing else has a neutral value', () => {
  expect(neutralValue(headScaleName(11))).toBe(1);
  expect(neutralValue('layer_0_resid_delta')).toBe(0);
  expect(neutralValue('past_key_values.0.key')).toBeNull();
  expect(neutralValue('input_ids')).toBeNull();
});

test('libraries that call an activation the same stand together, others apart', () => {
  expect(peerAliases({ kind: 'resid_mid', layer: 3 })).toEqual([
    {
      libraries: ['TransformerLens 3', 'TransformerLens 4'],
      name: 'blocks.3.hook_resid_mid',
      rotary: null,
    },
    { libraries: ['interp-engine'], name: 'resid_mid.3', rotary: null },
  ]);
  expect(peerAliases({ kind: 'final_norm', layer: null }).map(({ name }) => name)).toEqual([
    'unembed.hook_in',
    'ln_final.hook_out',
    'final_norm',
  ]);
  expect(peerAliases({ kind: 'k', layer: 11 })).toMatchObject([
    { name: 'blocks.11.attn.hook_k', rotary: 'blocks.11.attn.hook_rot_k' },
  ]);
  expect(peerAliases({ kind: 'lens_ids', layer: 0 })).toEqual([]);
});

test('a layer has its own sizes, and nothing else of its own', () => {
  // A newer minor may add to a layer's sizes; the width of the stream is the model's all the same.
  const own = { heads: 6, value_dim: 5, hidden: 99, layers: 1 };
  const mixed: ModelShape = {
    ...shape,
    ...{ gated_mlp: true, value_dim: 3, active_experts: 2 },
    layer_sizes: [own, { experts: 4 }],
  };
  expect(layerShape(mixed, 0)).toMatchObject({ heads: 6, value_dim: 5, hidden: 8, layers: 2 });
  expect(activationSpec('layer_0_attn_z', mixed, '1.0')?.shape).toEqual(['batch', 6, 'seq', 5]);
  expect(activationSpec('layer_1_attn_z', mixed, '1.0')?.shape).toEqual(['batch', 4, 'seq', 3]);
  expect(activationSpec('layer_0_resid_post', mixed, '1.0')?.shape).toEqual(['batch', 'seq', 8]);
  expect(activationSpec('layer_0_mlp_gate', mixed, '1.0')).not.toBeNull();
  expect(activationSpec('layer_1_mlp_gate', mixed, '1.0')).toBeNull();
  expect(activationSpec('layer_1_expert_ids', mixed, '1.0')).toEqual({
    ...{ name: 'layer_1_expert_ids', dtype: 'int64', shape: ['batch', 'seq', 2] },
  });
  const values = inputSpecs(mixed, 'interactive', '1.0').filter(({ name }) =>
    name.endsWith('.value'),
  );
  expect(values.map((port) => port.shape[3])).toEqual([5, 3]);
});

test('the panel is offered the kinds of any layer, and no others', () => {
  expect(modelKinds(shape)).not.toContain('mlp_gate');
  expect(modelKinds({ ...shape, gated_mlp: true })).toContain('mlp_gate');
  const routed = { ...shape, experts: 4, active_experts: 2 };
  expect(modelKinds(routed)).toContain('router_logits');
  expect(modelKinds(routed)).not.toContain('mlp_act');
  const mixed = modelKinds({ ...routed, layer_sizes: [{ experts: 0 }, {}] });
  expect(mixed).toEqual(expect.arrayContaining(['router_logits', 'mlp_act']));
  expect(modelKinds({ ...shape, raw_outputs: true })).toContain('attn_output_raw');
});
