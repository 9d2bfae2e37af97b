// Which provider computes, and that the reason is always the true one.
import { expect, test } from 'vitest';
import { ModelError } from '../../apps/web/src/inference/model_error';
import {
  chooseForModel,
  chooseWithoutModel,
  smallModelParameters,
  type GpuAnswer,
} from '../../apps/web/src/inference/provider';

const none: GpuAnswer = { webgpu: false, adapter: null, software: false };
const noAdapter: GpuAnswer = { ...none, webgpu: true };
const gpu: GpuAnswer = { webgpu: true, adapter: 'some GPU', software: false };
const software: GpuAnswer = { ...gpu, software: true };

test('what is asked for is what is given', () => {
  expect(chooseWithoutModel('wasm', gpu)).toEqual({ provider: 'wasm', reason: 'requested' });
  // A software adapter is slow, but it is what was asked for.
  for (const answer of [gpu, software]) {
    expect(chooseWithoutModel('webgpu', answer)).toEqual({
      provider: 'webgpu',
      reason: 'requested',
    });
  }
});

test.each([none, noAdapter])('WebGPU that is not there is never replaced', (answer) => {
  expect(() => chooseWithoutModel('webgpu', answer)).toThrow(ModelError);
});

test('automatic choice says why not WebGPU', () => {
  expect(chooseWithoutModel('auto', none)?.reason).toBe('no-webgpu');
  expect(chooseWithoutModel('auto', noAdapter)?.reason).toBe('no-adapter');
  expect(chooseWithoutModel('auto', software)?.reason).toBe('software-adapter');
});

test('with a GPU, the size of the model decides', () => {
  expect(chooseWithoutModel('auto', gpu)).toBeNull();
  expect(chooseForModel(smallModelParameters - 1)).toEqual({
    provider: 'wasm',
    reason: 'small-model',
  });
  expect(chooseForModel(smallModelParameters)).toEqual({
    provider: 'webgpu',
    reason: 'webgpu-available',
  });
});
