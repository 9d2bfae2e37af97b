// The results of each text of a batch, without the padding before it: cases computed by hand.
import { expect, test } from 'vitest';
import { rowsOf } from '../../apps/web/src/inference/batch_rows';

const counted = (count: number): Float32Array =>
  Float32Array.from({ length: count }, (_, at) => at);

test('the results of a shorter text have no rows of padding', () => {
  const [whole, short] = rowsOf(
    { name: 'layer_0_resid_post', dims: [2, 3, 2], data: counted(12) },
    [3, 2],
  );
  expect(whole).toEqual({ name: 'layer_0_resid_post', dims: [1, 3, 2], data: counted(6) });
  expect(short).toEqual({
    name: 'layer_0_resid_post',
    dims: [1, 2, 2],
    data: Float32Array.of(8, 9, 10, 11),
  });
});

test('an attention map of a shorter text has no queries and keys of padding', () => {
  const rows = rowsOf(
    { name: 'layer_1_attn_probs', dims: [2, 2, 3, 3], data: counted(36) },
    [1, 3],
  );
  expect(rows[0]).toEqual({
    name: 'layer_1_attn_probs',
    dims: [1, 2, 1, 1],
    data: Float32Array.of(8, 17),
  });
  expect(rows[1]?.data).toEqual(counted(36).slice(18));
});

test('int64 values stay int64', () => {
  const ids = Int32Array.of(5, 6, 7, 8);
  const [first] = rowsOf({ name: 'layer_0_lens_ids', dims: [2, 2, 1], data: ids }, [1, 2]);
  expect(first).toEqual({ name: 'layer_0_lens_ids', dims: [1, 1, 1], data: Int32Array.of(6) });
});
