// Each view has a row of the registry, a folder and a title; the rows decide what an answer shows and opens by itself.
import { readFileSync, readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { activationTable } from '../../apps/web/src/contract/activation_table';
import type { ModelShape, Variant } from '../../apps/web/src/contract/generated';
import { DICTIONARIES } from '../../apps/web/src/i18n/all_dictionaries';
import type { OpenedModel } from '../../apps/web/src/inference/model_types';
import { VIEWS } from '../../apps/web/src/views/registry';
import { openedWhenSeen, viewsFor } from '../../apps/web/src/views/which_views';

const views = new URL('../../apps/web/src/views/', import.meta.url);

test('every row names a component of its own folder, known kinds and a title in each language', () => {
  expect(new Set(VIEWS.map(({ id }) => id)).size).toBe(VIEWS.length);
  const kinds = activationTable.map(({ kind }) => kind);
  for (const view of VIEWS) {
    expect(view.id).toMatch(/^[a-z][a-z-]*$/);
    for (const kind of view.kinds) expect(kinds).toContain(kind);
    for (const words of Object.values(DICTIONARIES)) expect(view.title(words)).not.toBe('');
  }
});

test('every component that a view could be is loaded by the registry alone, when it is needed', () => {
  const registry = readFileSync(new URL('registry.ts', views), 'utf8');
  const loaded = Array.from(registry.matchAll(/import\('\.\/([^']+)'\)/g), ([, file]) => file);
  expect(loaded.length).toBe(VIEWS.length);
  const files = readdirSync(views, { recursive: true, encoding: 'utf8' });
  for (const file of loaded) expect(files).toContain(file);
  const sources = readdirSync(new URL('../', views), { recursive: true, encoding: 'utf8' }).filter(
    (file) => /\.(ts|svelte)$/.test(file),
  );
  for (const source of sources) {
    const text = readFileSync(new URL(`../${source}`, views), 'utf8');
    for (const file of loaded)
      expect(text, source).not.toMatch(new RegExp(`from '[^']*/${file?.split('/').at(-1)}'`));
  }
});

const shape: ModelShape = {
  ...{ layers: 2, heads: 4, kv_heads: 4, head_dim: 8, hidden: 32, intermediate: 64, vocab: 100 },
  ...{ context_length: 16, parallel_residual: false },
};

/** A model with these activations: only what the rows read of it. */
function model(tappable: string[], variants: number, sizes: Partial<ModelShape> = {}): OpenedModel {
  const variant = {
    plain: {
      activations: {
        ...{ graph: 'open', model: { ...shape, ...sizes } },
        outputs: [{ name: 'logits' }, { name: 'layer_1_attn_probs' }],
      },
    },
    taps: tappable.map((name) => ({ outputs: [{ name }] })),
  } as unknown as Variant;
  return {
    manifest: { model: { shape: { ...shape, ...sizes } } },
    variant,
    offer: { variants: Array.from({ length: variants }) },
  } as unknown as OpenedModel;
}

const lens = [0, 1].flatMap((layer) => [`layer_${layer}_lens_ids`, `layer_${layer}_lens_probs`]);
const shown = (of: OpenedModel, isOpen: boolean): string[] =>
  viewsFor('main', of, isOpen ? of : null).map(({ id }) => id);

test('an answer has the views that its model can fill', () => {
  const whole = [
    ...['overview', 'attention', 'lens', 'attribution', 'neurons', 'steps', 'paths'],
    ...['interventions', 'activations', 'compare', 'facts'],
  ];
  expect(shown(model(lens, 2), true)).toEqual(whole);
  // Precomputed: nothing can be asked yet.
  expect(shown(model(lens, 2), false)).toEqual(['overview', 'attention', 'lens', 'activations']);
  // A bare graph has no nodes for the lens. A model of one variant still has other texts to be compared with.
  const least = [
    ...['overview', 'attention', 'attribution', 'neurons', 'steps', 'paths', 'interventions'],
    ...['activations', 'compare', 'facts'],
  ];
  expect(shown(model([], 1), true)).toEqual(least);
  expect(viewsFor('rail', model([], 1), null).map(({ id }) => id)).toEqual(['next']);
  // Features are there where a dictionary is.
  const plain = model(lens, 2);
  const manifest = { ...plain.manifest, dictionaries: [{ name: 'mlp_1' }] };
  const withOne = { ...plain, manifest } as unknown as OpenedModel;
  expect(shown(withOne, true)).toEqual(whole.toSpliced(whole.indexOf('steps'), 0, 'features'));
  expect(shown(withOne, false)).not.toContain('features');
});

test('only a view that costs little opens what it draws, as far as the model can give it', () => {
  const opened = (id: string, of: OpenedModel): string[] => {
    const view = VIEWS.find((view) => view.id === id);
    if (view === undefined) throw new Error(`no view ${id}`);
    return openedWhenSeen(view, of);
  };
  expect(opened('lens', model(lens, 1)).sort()).toEqual([...lens].sort());
  expect(opened('lens', model(lens.slice(0, 2), 1)).sort()).toEqual(lens.slice(0, 2).sort());
  expect(opened('lens', model([], 1))).toEqual([]);
  // 12 × 768 × 50257 is 463 million multiplications for each token.
  expect(opened('lens', model(lens, 1, { layers: 12, hidden: 768, vocab: 50_257 }))).toEqual([]);
  for (const { id } of VIEWS.filter(({ id }) => id !== 'lens'))
    expect(opened(id, model([...lens, 'layer_0_attn_probs'], 1))).toEqual([]);
});
