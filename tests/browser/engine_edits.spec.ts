// Edits in the wire form, run by the page's engine: the numbers are PyTorch's, whole and from the cache, and what has no
// place is refused in a line. Their tensors: tests/web/edit_table.test.ts.
import type { Edit } from '../../apps/web/src/inference/edits';
import { expect, opened, test } from './engine';
import { editKinds, editsOf, expectEdited, expectUnedited } from './engine_edits';
import { largestError, positions, readFixtures, reference } from './fixtures';

for (const model of ['tiny-gpt2', 'tiny-llama']) {
  test(`${model}: every kind of edit, whole and from the cache`, async ({
    engine,
    bundles,
    provider,
    tolerance,
  }) => {
    const prompt = readFixtures(model).prompt('sentence');
    const { manifest } = opened(await engine.open({ url: bundles.url(model), provider }));
    const last = `layer_${manifest.model.shape.layers - 1}_resid_post`;
    opened(await engine.setActivations([last]));
    const edited = { engine, prompt, last, tolerance };
    const seen = new Set<string>();
    for (const { edits, ...set } of prompt.saidEdits) {
      const interventions = editsOf(edits);
      for (const { edit } of interventions) seen.add(edit);
      await expectEdited(edited, interventions, set);
    }
    expect([...seen].sort()).toEqual(editKinds);
    await expectUnedited(edited);
  });
}

test(
  'what has no place is told in a line, and the next run is as if it had not been asked for',
  { tag: '@any-device' },
  async ({ engine, page, bundles, provider, tolerance }) => {
    const prompt = readFixtures('tiny-gpt2').prompt('sentence');
    const { ids } = prompt;
    opened(await engine.open({ url: bundles.url('tiny-gpt2'), provider }));
    await engine.run({ ids: ids.slice(0, 8), reuseCache: true });
    const graphBytes = () => page.evaluate(async () => (await client.savedGraph()).length);
    const before = await graphBytes();
    const refused: [Edit, string][] = [
      [{ edit: 'scale', joint: 'attn_z', layer: 2 }, 'the model has no such layer; got layer 2'],
      [{ edit: 'scale', joint: 'attn_z', layer: 0, head: 5 }, 'no such head; got head 5'],
      [{ edit: 'scale', joint: 'mlp_act', layer: 0, position: ids.length }, 'no such position'],
      [{ edit: 'add', joint: 'resid_post', layer: 0, vector: [1, 2] }, 'got 2; expected 40'],
      [{ edit: 'scale', joint: 'q', layer: 0, factor: NaN }, 'factor of scale is no finite number'],
      [{ edit: 'scale', joint: 'mlp_pre', layer: 0 }, 'there is no such joint; got mlp_pre'],
      [{ edit: 'knock-out', layer: 0, query: 0 }, 'no key to look at; got query 0'],
    ];
    for (const [edit, message] of refused) {
      const outcome = await engine.tryRun({
        ids,
        reuseCache: true,
        keepCache: false,
        interventions: [edit],
      });
      expect(outcome).toMatchObject({ error: { kind: 'run' } });
      expect(JSON.stringify(outcome)).toContain(message);
    }
    expect(await graphBytes(), 'the session was left as it was').toBe(before);
    const { start, lastLogits } = await engine.run({ ids, reuseCache: true });
    expect(start).toBe(8);
    const expected = positions('logits', reference(prompt, 'logits'), ids.length - 1, ids.length);
    expect(largestError(lastLogits, expected.data)).toBeLessThanOrEqual(tolerance);
  },
);
