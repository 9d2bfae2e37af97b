// What Escape releases of the selection, and what stays.
import { expect, test } from 'vitest';
import { Viewing } from '../../apps/web/src/views/viewing.svelte';

test('Escape releases what is locked, also the feature, and keeps the dictionary', () => {
  const viewing = new Viewing();
  const unit = { kind: 'mlp_act', layer: 0, unit: 3 };
  viewing.select({ token: 2, head: [0, 1], neuron: [1, 4], unit, shown: 'layer_0_mlp_act' });
  viewing.release();
  expect(viewing.selection).toMatchObject({ token: null, head: null, neuron: null, feature: null });
  viewing.select({ feature: { dictionary: 'stream', feature: 17 } });
  viewing.release();
  expect(viewing.selection.feature).toEqual({ dictionary: 'stream', feature: null });
  expect(viewing.selection).toMatchObject({ unit, shown: 'layer_0_mlp_act' });
});
