// The link of an edit leads to the one unit that it changes.
import { expect, test } from 'vitest';
import { listed } from '../../apps/web/src/inference/listed_edits';
import { unitOfEdit } from '../../apps/web/src/views/units/unit_of_edit';

test('an edit of one neuron, head or coordinate leads to it, and one of several to none', () => {
  const scale = { edit: 'scale', layer: 3, factor: 0 } as const;
  expect(unitOfEdit(listed({ ...scale, joint: 'mlp_act', neuron: 17 }))).toEqual({
    ...{ kind: 'mlp_act', layer: 3, unit: 17 },
  });
  expect(unitOfEdit(listed({ ...scale, joint: 'attn_z', head: 2 }))).toEqual({
    ...{ kind: 'attn_z', layer: 3, unit: 2 },
  });
  expect(unitOfEdit(listed({ ...scale, joint: 'attn_z', head: [1, 2] }))).toBeNull();
  expect(unitOfEdit(listed({ ...scale, joint: 'attn_z', head: 2, neuron: 5 }))).toBeNull();
  expect(unitOfEdit(listed({ ...scale, joint: 'resid_post' }))).toBeNull();
  const swap = { edit: 'swap', joint: 'mlp_act', layer: 0, positions: [0, 1] } as const;
  expect(unitOfEdit(listed(swap as never))).toBeNull();
});
