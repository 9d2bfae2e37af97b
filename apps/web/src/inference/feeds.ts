// Makes the input tensors of the interactive graph for one run. Cached keys and values: key_value_cache.ts; changes
// of the computation: interventions.ts.
import type * as Ort from 'onnxruntime-web';
import { elementCount, neutralValue, resolveShape } from '../contract/activation_table';
import type { ActivationsDocument } from '../contract/generated';

type Feeds = Record<string, Ort.Tensor>;

/** Make empty caches and neutral interventions, once for each session, since no run changes them. */
export function neutralFeeds(ort: typeof Ort, { inputs }: ActivationsDocument): Feeds {
  const feeds: Feeds = {};
  for (const { name, shape, dtype } of inputs) {
    if (name === 'input_ids') continue;
    const dims = resolveShape(shape, { batch: 1, seq: 1, past: 0 });
    const count = elementCount(dims);
    const neutral = neutralValue(name) ?? 0;
    feeds[name] =
      dtype === 'int64'
        ? new ort.Tensor('int64', new BigInt64Array(count).fill(BigInt(neutral)), dims)
        : new ort.Tensor('float32', new Float32Array(count).fill(neutral), dims);
  }
  return feeds;
}

/** Request the last token's logits alone, as unembedding the others is a third of a prompt's work. Plain graphs give
 * all. */
export function lastLogitsFeed(ort: typeof Ort, { graph }: ActivationsDocument): Feeds {
  if (graph === 'plain') return {};
  return { logits_start: new ort.Tensor('int64', BigInt64Array.of(-1n), [1]) };
}

/** Make the tensor of token ids, (1, fed). */
export function tokenFeed(ort: typeof Ort, ids: readonly number[]): Ort.Tensor {
  return new ort.Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]);
}
