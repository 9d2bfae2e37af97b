// What broke is told from what was said, and a lost GPU ends what waits for it.
import type * as Ort from 'onnxruntime-web';
import { expect, test } from 'vitest';
import { causeOf, GpuWatch } from '../../apps/web/src/inference/failure';

test.each([
  // As ONNX Runtime Web 1.30 and Chromium 156 word them.
  ["Can't create a session. ERROR_CODE: 6, ERROR_MESSAGE: std::bad_alloc", 'out-of-memory'],
  ['Array buffer allocation failed', 'out-of-memory'],
  ['WebAssembly.Memory.grow(): Maximum memory size exceeded', 'out-of-memory'],
  ['Aborted(OOM)', 'out-of-memory'],
  [
    'failed to call OrtRun(). ERROR_CODE: 1, ERROR_MESSAGE: Non-zero status code returned while running Gather node. ' +
      "Name:'Gather_11/Gather' Status Message: Program Gather requires f16 but the device does not support it.",
    'no-f16',
  ],
  ['A valid external Instance reference no longer exists; the device was lost', 'device-lost'],
  ['no output logits', 'other'],
] as const)('%s', (message, cause) => {
  expect(causeOf(new Error(message), 'webgpu', false)).toBe(cause);
});

test('on wasm, float16 is no cause', () => {
  expect(causeOf(new Error('no kernel for float16'), 'wasm', false)).toBe('other');
});

test('whatever is said once the device is lost, that is why', () => {
  expect(causeOf(new Error('mapAsync failed'), 'webgpu', true)).toBe('device-lost');
});

interface FakeDevice {
  readonly ort: typeof Ort;
  lose(message: string): void;
}

function fakeDevice(): FakeDevice {
  let lose: FakeDevice['lose'] = () => undefined;
  const lost = new Promise((resolve) => {
    lose = (message) => {
      resolve({ message, reason: 'unknown' });
    };
  });
  const ort = { env: { webgpu: { device: Promise.resolve({ lost }) } } };
  return { ort: ort as unknown as typeof Ort, lose };
}

const forever = (): Promise<never> => new Promise(() => undefined);

test('a job that waits for a lost device ends, and none starts after it', async () => {
  const watch = new GpuWatch();
  const device = fakeDevice();
  await watch.watch(device.ort);
  expect(await watch.guard(() => Promise.resolve(7))).toBe(7);
  const waiting = watch.guard(forever);
  device.lose('pulled out');
  await expect(waiting).rejects.toThrow('pulled out');
  expect(watch.isLost).toBe(true);
  let started = false;
  const late = watch.guard(() => {
    started = true;
    return forever();
  });
  await expect(late).rejects.toThrow('pulled out');
  expect(started).toBe(false);
});

test('a device that took the place of another is the one that counts', async () => {
  const watch = new GpuWatch();
  const [first, second] = [fakeDevice(), fakeDevice()];
  await watch.watch(first.ort);
  await watch.watch(second.ort);
  first.lose('released');
  await Promise.resolve();
  expect(watch.isLost).toBe(false);
  expect(await watch.guard(() => Promise.resolve(1))).toBe(1);
});

test('a job’s own error stays its own', async () => {
  const watch = new GpuWatch();
  await expect(watch.guard(() => Promise.reject(new Error('mine')))).rejects.toThrow('mine');
});
