// A cache of fixed length: when it is selected, which slots a call writes and reads, and how results and edits fit it.
import * as ort from 'onnxruntime-web';
import { describe, expect, it } from 'vitest';
import type { Manifest, Variant } from '../../apps/web/src/contract/generated';
import {
  reachingAllSlots,
  slotFeeds,
  textLimit,
  withoutEmptySlots,
  withStaticCache,
} from '../../apps/web/src/inference/static_cache';
import type { JointEdit } from '../../apps/web/src/inference/joint_edit';
import manifest from '../../contracts/examples/valid/manifest__static.json' with { type: 'json' };

const [variant] = (manifest as unknown as Manifest).variants as [Variant];
const asked = { url: '', provider: 'auto', staticCache: true } as const;

describe('selection of the graph', () => {
  it('takes the static graph on WebGPU if it is requested and exists', () => {
    const chosen = withStaticCache(variant, asked, 'webgpu');
    expect(chosen.open?.path).toBe('model.static.onnx');
    expect(withStaticCache(variant, asked, 'wasm')).toBe(variant);
    expect(withStaticCache(variant, { url: '', provider: 'auto' }, 'webgpu')).toBe(variant);
    const without = { ...variant };
    delete without.static;
    expect(withStaticCache(without, asked, 'webgpu')).toBe(without);
  });

  it('limits a text to the shorter of cache and context', () => {
    const limits = [variant.static, variant.open].map(
      (record) => record && textLimit(record.activations),
    );
    expect(limits).toEqual([12, 16]);
  });
});

describe('the slots of a call', () => {
  it('follow the text so far, and the mask covers all up to its end', () => {
    const { attention_mask: mask, cache_position: written } = slotFeeds(
      ort,
      { start: 2, end: 5 },
      7,
    );
    expect(mask?.dims).toEqual([1, 7]);
    expect([...(mask?.data as BigInt64Array)]).toEqual([1n, 1n, 1n, 1n, 1n, 0n, 0n]);
    expect(written?.dims).toEqual([3]);
    expect([...(written?.data as BigInt64Array)]).toEqual([2n, 3n, 4n]);
  });
});

describe('edits of attention', () => {
  const edit = (joint: JointEdit['joint'], tensors: JointEdit['tensors']): JointEdit => ({
    ...{ joint, layer: 0, closing: 'replace', tensors },
  });

  it('are extended to the last slot with neutral values', () => {
    const value = { dims: [1, 1, 2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) };
    const mask = { dims: [1, 1, 2, 3], data: Uint8Array.of(1, 0, 0, 0, 1, 0) };
    const { tensors } = reachingAllSlots(edit('attn_scores', { value, mask }), 5);
    expect(tensors['value']?.dims).toEqual([1, 1, 2, 5]);
    expect([...(tensors['value']?.data ?? [])]).toEqual([1, 2, 3, 0, 0, 4, 5, 6, 0, 0]);
    expect(tensors['mask']?.data).toEqual(Uint8Array.of(1, 0, 0, 0, 0, 0, 1, 0, 0, 0));
  });

  it('are unchanged if they broadcast or are at other joints', () => {
    const scale = { dims: [1, 2, 1, 1], data: Float32Array.of(0, 1) };
    const narrow = { ...edit('attn_probs', { scale }), closing: 'scale' } as const;
    expect(reachingAllSlots(narrow, 5)).toEqual(narrow);
    const other = edit('attn_z', { value: { dims: [1, 1, 1, 3], data: new Float32Array(3) } });
    expect(reachingAllSlots(other, 5)).toBe(other);
  });

  it('with one factor for each token scale the empty slots by 1', () => {
    const scale = { dims: [1, 1, 1, 2], data: Float32Array.of(0, 0.5) };
    const each = { ...edit('attn_probs', { scale }), closing: 'scale' } as const;
    const { tensors } = reachingAllSlots(each, 4);
    expect([...(tensors['scale']?.data ?? [])]).toEqual([0, 0.5, 1, 1]);
  });
});

describe('activations', () => {
  const data = Float32Array.of(1, 2, 0, 3, 4, 0);

  it('of attention lose the columns of empty slots', () => {
    const got = withoutEmptySlots({ name: 'layer_0_attn_probs', dims: [1, 1, 2, 3], data }, 2);
    expect(got.dims).toEqual([1, 1, 2, 2]);
    expect([...got.data]).toEqual([1, 2, 3, 4]);
  });

  it('of other kinds are unchanged', () => {
    const tensor = { name: 'layer_0_attn_z', dims: [1, 1, 2, 3], data };
    expect(withoutEmptySlots(tensor, 2)).toBe(tensor);
  });
});
