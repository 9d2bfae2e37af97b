// When the page compares the device with the publisher's numbers, and how long it keeps the result.
import { expect, test } from 'vitest';
import { ModelError } from '../../apps/web/src/inference/model_error';
import type { DeviceProof, ModelClient } from '../../apps/web/src/inference/client_interface';
import type { OpenedModel } from '../../apps/web/src/inference/model_types';
import { DeviceProofs } from '../../apps/web/src/session/device_proof.svelte';

const distance = { name: 'layer_1_q', error: 2e-6, bound: 3e-4 };
const proof: DeviceProof = {
  ...{ worst: distance, first: null, compared: 9 },
  ...{ reference: 'pytorch', runtime: 'PyTorch 2.13.0' },
};
const model = { variant: { reference_pass: {} } } as unknown as OpenedModel;

function client(answer: () => Promise<DeviceProof | null>): ModelClient {
  return { prove: answer } as unknown as ModelClient;
}

test('the comparison waits until the page is idle, and its result is kept', async () => {
  let busy = 3;
  let askedAt = -1;
  const proofs = new DeviceProofs(() => --busy > 0, 1);
  const done = proofs.prove(
    client(() => {
      askedAt = busy;
      return Promise.resolve(proof);
    }),
    model,
    () => true,
  );
  expect(proofs.state).toEqual({ kind: 'waiting' });
  await done;
  expect(askedAt).toBe(0);
  expect(proofs.state).toEqual({ kind: 'compared', proof });
});

test('a model that was closed meanwhile is not compared, and a late result is dropped', async () => {
  let asked = 0;
  const asking = client(() => Promise.resolve(((asked += 1), proof)));
  const proofs = new DeviceProofs(() => false, 1);
  await proofs.prove(asking, model, () => false);
  expect(asked).toBe(0);
  let isCurrent = true;
  const leaving = client(() => {
    isCurrent = false;
    return Promise.resolve(proof);
  });
  await proofs.prove(leaving, model, () => isCurrent);
  expect(proofs.state).toEqual({ kind: 'waiting' });
});

test("a comparison that the reader's own session ended begins again once that is there", async () => {
  let preparing = false;
  const answers: (() => Promise<DeviceProof>)[] = [
    () => {
      preparing = true;
      setTimeout(() => (preparing = false), 5);
      return Promise.reject(new ModelError({ kind: 'aborted' }));
    },
    () => (preparing ? Promise.reject(new Error('not yet')) : Promise.resolve(proof)),
  ];
  const proofs = new DeviceProofs(() => preparing, 1);
  const next = client(() => answers.shift()?.() ?? Promise.reject(new Error('no more')));
  await proofs.prove(next, model, () => true);
  expect(proofs.state).toEqual({ kind: 'compared', proof });
});

test('a bundle without a stored pass is not compared', async () => {
  const proofs = new DeviceProofs(() => false, 1);
  const silent = client(() => Promise.reject(new Error('asked')));
  await proofs.prove(silent, { variant: {} } as unknown as OpenedModel, () => true);
  expect(proofs.state).toEqual({ kind: 'none' });
});

test('an error is kept until another model is opened', async () => {
  const proofs = new DeviceProofs(() => false, 1);
  const error = { kind: 'run', detail: 'out of memory' } as const;
  await proofs.prove(
    client(() => Promise.reject(new ModelError(error))),
    model,
    () => true,
  );
  expect(proofs.state).toEqual({ kind: 'failed', error });
  proofs.clear();
  expect(proofs.state).toEqual({ kind: 'waiting' });
});
