// Which taps are opened for which names, and what is fed so that nothing is changed.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { checkManifest } from '../../apps/web/src/contract/validate_manifest';
import type { Variant } from '../../apps/web/src/contract/generated';
import { noSlots } from '../../apps/web/src/inference/closing_slots';
import { ModelError } from '../../apps/web/src/inference/model_error';
import { concatenated, defaultActivations, openTaps } from '../../apps/web/src/inference/taps';

const example = new URL('../../contracts/examples/valid/manifest__whole.json', import.meta.url);

function wholeVariant(): Variant {
  const verdict = checkManifest(JSON.parse(readFileSync(example, 'utf8')));
  if (verdict.kind !== 'manifest') throw new Error(JSON.stringify(verdict));
  const [variant] = verdict.manifest.variants;
  if (variant === undefined) throw new Error('no variant');
  return {
    ...variant,
    taps: [
      { bytes: 'AQI=', outputs: [{ name: 'layer_0_q', dtype: 'float32', shape: [1] }] },
      {
        bytes: 'Aw==',
        outputs: [
          { name: 'layer_0_lens_ids', dtype: 'int64', shape: [1] },
          { name: 'layer_0_lens_probs', dtype: 'float32', shape: [1] },
        ],
      },
      { bytes: 'BA==', outputs: [{ name: 'layer_0_k', dtype: 'float32', shape: [1] }] },
    ],
  };
}

const graph = new Uint8Array([9]);

test('only the taps that are asked for are appended, each once, with all they give', () => {
  const names = ['layer_0_lens_probs', 'logits', 'layer_0_q', 'layer_0_lens_ids', 'layer_0_q'];
  const { parts, activations } = openTaps(wholeVariant(), graph, names, noSlots);
  expect([...concatenated(parts)]).toEqual([9, 1, 2, 3]);
  expect(activations).toEqual(['layer_0_q', 'layer_0_lens_ids', 'layer_0_lens_probs']);
});

test('no taps leave the graph as it is', () => {
  expect(openTaps(wholeVariant(), graph, [], noSlots)).toEqual({ parts: [graph], activations: [] });
  expect(concatenated([graph])).toBe(graph);
});

test('an unknown name is refused by name', () => {
  expect(() => openTaps(wholeVariant(), graph, ['layer_0_q', 'layer_9_q'], noSlots)).toThrow(
    new ModelError({ kind: 'unknown-activation', got: 'layer_9_q' }),
  );
});

test('what the plain graph gives is the default, without what the other graph gives anyway', () => {
  const variant = wholeVariant();
  const names = defaultActivations(variant);
  expect(names).not.toContain('logits');
  expect(names.length).toBe(variant.plain.activations.outputs.length - 1);
});
