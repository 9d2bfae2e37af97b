// Batches of texts with equal and different lengths and edits of their own: each text gives what PyTorch gives for it
// alone.
import { expect, opened, test } from './engine';
import { editsOf } from './engine_edits';
import { largestError, positions, readFixtures } from './fixtures';

for (const model of ['tiny-gpt2', 'tiny-llama']) {
  test(`${model}: each text of a batch gives the same as alone with its row's edits`, async ({
    engine,
    bundles,
    provider,
    tolerance,
  }) => {
    const prompt = readFixtures(model).prompt('sentence');
    const { manifest } = opened(await engine.open({ url: bundles.url(model), provider }));
    const last = `layer_${manifest.model.shape.layers - 1}_resid_post`;
    opened(await engine.setActivations([last]));
    for (const { name, edits, texts } of prompt.batches) {
      const interventions = editsOf(edits);
      const ids = texts.map((text) => text.ids);
      const asked = Math.min(2, ...ids.map(({ length }) => length));
      const got = await engine.runBatch({ texts: ids, interventions, logits: asked });
      expect(got.texts.map((text) => text.ids)).toEqual(ids);
      for (const [row, { logits, tensors }] of got.texts.entries()) {
        const text = texts[row];
        const count = text?.ids.length ?? 0;
        const right = text && positions('logits', text.logits, count - asked, count);
        const what = `${name}, row ${row}`;
        expect(logits.dims).toEqual(right?.dims);
        expect(largestError(logits.data, right?.data ?? []), what).toBeLessThanOrEqual(tolerance);
        expect(tensors.map((tensor) => tensor.name)).toEqual([last]);
        const [residPost] = tensors;
        expect(residPost?.dims).toEqual(text?.residPost.dims);
        const error = largestError(residPost?.data ?? [], text?.residPost.data ?? []);
        expect(error, what).toBeLessThanOrEqual(tolerance);
      }
    }
  });
}
