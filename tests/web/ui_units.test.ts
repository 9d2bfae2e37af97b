// What the view of units asks of the worker and keeps: the tokens of a layer's lists, and a unit's values on the text, for
// a feature after its dictionary's download.
import { expect, test } from 'vitest';
import type { Manifest, Variant } from '../../apps/web/src/contract/generated';
import { ModelError } from '../../apps/web/src/inference/model_error';
import type { BatchRequest } from '../../apps/web/src/inference/model_types';
import type { ReadUnits } from '../../apps/web/src/inference/read_dashboards';
import type { Answer } from '../../apps/web/src/session/answer';
import type { Opening } from '../../apps/web/src/session/opening.svelte';
import { TokenPieces } from '../../apps/web/src/session/token_pieces';
import { UnitPages } from '../../apps/web/src/session/unit_pages.svelte';
import { givesUnit } from '../../apps/web/src/session/unit_values';

/** Only what is read of a row: it fires at token 1, promotes 2 and suppresses 3. */
const row = {
  ...{ unit: 0, passages: [] },
  ...{ firing: [{ id: 1 }], promoted: [{ id: 2 }], suppressed: [{ id: 3 }] },
} as unknown as ReadUnits['rows'][number];
const answer = {
  ...{ tokens: [], interventions: [], activations: { ids: [5, 6] } },
} as unknown as Answer;
const source = { url: 'https://models.example/' };
const feature = { kind: 'features_d', layer: 0, unit: 1 };

class Worker {
  readonly calls: string[] = [];
  failure: ModelError | null = null;
  /** Resolves the download that waits. */
  arrive: (() => void) | null = null;

  pieces(ids: readonly number[]) {
    return Promise.resolve(ids.map((id) => ({ id, bytes: Uint8Array.of(65 + id) })));
  }
  readUnits(): Promise<ReadUnits> {
    return Promise.resolve({ rows: [row], bytes: 9 });
  }
  async openDictionary(
    name: string,
    onProgress: (done: number, of: number) => void,
    signal: AbortSignal,
  ): Promise<void> {
    this.calls.push(name);
    onProgress(3, 10);
    await new Promise<void>((resolve, reject) => {
      this.arrive = resolve;
      signal.addEventListener('abort', () => {
        this.calls.push('aborted');
        reject(new ModelError({ kind: 'aborted' }));
      });
    });
    if (this.failure !== null) throw this.failure;
  }
  runBatch({ activations = [] }: BatchRequest) {
    this.calls.push(...activations);
    const data = Float32Array.of(1, 2, 3, 4);
    return Promise.resolve({ texts: [{ tensors: [{ data, dims: [1, 2, 2] }] }] });
  }
}

function session(): { worker: Worker; units: UnitPages } {
  const worker = new Worker();
  const opening = { client: worker, model: { hasTokenizer: true } } as unknown as Opening;
  return { worker, units: new UnitPages(opening, new TokenPieces()) };
}

test('the tokens that a layer’s units fire at, promote and suppress are known', async () => {
  const { units } = session();
  await units.list(source, 'mlp_act', 0);
  expect([...(units.layer?.pieces.keys() ?? [])].sort()).toEqual([1, 2, 3]);
});

test('a feature’s values are read after its dictionary’s download, which tells its bytes', async () => {
  const { worker, units } = session();
  await units.follow(source, feature);
  const running = units.onText(answer, feature);
  expect(units.ownStage).toEqual({ kind: 'loading', done: 3, of: 10 });
  expect(worker.calls).toEqual(['d']);
  worker.arrive?.();
  await running;
  expect(worker.calls).toEqual(['d', 'features_d']);
  expect(units.ownStage).toEqual({ kind: 'idle' });
  expect([...(units.own?.values ?? [])]).toEqual([2, 4]);
});

test('a neuron’s values need no dictionary', async () => {
  const { worker, units } = session();
  await units.onText(answer, { kind: 'mlp_act', layer: 0, unit: 0 });
  expect(worker.calls).toEqual(['layer_0_mlp_act']);
  expect([...(units.own?.values ?? [])]).toEqual([1, 3]);
});

test('a download is cancelled by the reader, and ends where another unit is opened', async () => {
  const { worker, units } = session();
  const first = units.onText(answer, feature);
  units.cancelText();
  await first;
  expect(units.ownStage).toEqual({ kind: 'cancelled' });
  const second = units.onText(answer, feature);
  await units.follow(source, { ...feature, unit: 0 });
  await second;
  expect(units.ownStage).toEqual({ kind: 'idle' });
  expect(worker.calls).toEqual(['d', 'aborted', 'd', 'aborted']);
  expect(units.own).toBeNull();
});

test('a refused dictionary is told, and can be asked again', async () => {
  const { worker, units } = session();
  worker.failure = new ModelError({ kind: 'unknown-dictionary', got: 'd', known: [] });
  const first = units.onText(answer, feature);
  worker.arrive?.();
  await first;
  expect(units.ownStage).toMatchObject({ kind: 'failed', error: { kind: 'unknown-dictionary' } });
  worker.failure = null;
  units.forgetText();
  const second = units.onText(answer, feature);
  worker.arrive?.();
  await second;
  expect(units.own).not.toBeNull();
});

test('a feature is read in an open graph alone', () => {
  // Only what is read of them.
  const manifest = { dictionaries: [{ name: 'd' }] } as unknown as Manifest;
  const document = (graph: string) => ({ activations: { graph, model: {}, outputs: [] } });
  const taps = [{ outputs: [{ name: 'layer_0_mlp_act' }] }];
  const plain = { plain: document('plain'), taps } as unknown as Variant;
  const open = { ...plain, open: document('open') } as unknown as Variant;
  expect(givesUnit({ manifest, variant: open }, feature)).toBe(true);
  expect(givesUnit({ manifest, variant: plain }, feature)).toBe(false);
  expect(givesUnit({ manifest, variant: open }, { ...feature, kind: 'features_e' })).toBe(false);
  const neuron = { kind: 'mlp_act', layer: 0 };
  expect(givesUnit({ manifest, variant: plain }, neuron)).toBe(true);
  expect(givesUnit({ manifest, variant: plain }, { ...neuron, layer: 1 })).toBe(false);
});
