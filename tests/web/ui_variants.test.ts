// Variants in words and on the plot: figures of the manifest as they stand, nothing claimed that was not measured.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  anyPlacementOf,
  isProvenExact,
  nextAttempt,
  placementOf,
} from '../../apps/web/src/inference/variant_offers';
import { layoutFidelity } from '../../apps/web/src/charts/fidelity_layout';
import { roundUp } from '../../apps/web/src/charts/round_scale';
import { DICTIONARIES } from '../../apps/web/src/i18n/all_dictionaries';
import {
  choiceText,
  compositionText,
  fidelityText,
  refusalText,
} from '../../apps/web/src/i18n/variant_text';
import type { Fidelity } from '../../apps/web/src/contract/generated';
import type {
  Choice,
  Offer,
  ProviderReason,
  Refusal,
  VariantOffer,
  VariantReason,
} from '../../apps/web/src/inference/model_types';

const plain = (text: string): string => text.replaceAll('\u202f', ' ');
const { en } = DICTIONARIES;

function measured(
  kl: number,
  top1: number,
  reference: Fidelity['reference'] = 'pytorch',
): Fidelity {
  return {
    reference,
    text: { name: 'passages', digest: 'sha256:0', passages: 4, tokens: 1024 },
    kl_mean: kl,
    kl_p99: kl * 5,
    top1,
    top5: top1,
    perplexity: 10.2,
    reference_perplexity: 10,
    activations: [],
    bounds: { kl_mean: 0.05, top1: 0.9 },
    within_bounds: true,
  };
}

const works = { memory: 1e9, refusal: null };
const refused = { memory: 1e9, refusal: { code: 'needs-f16' } as const };

const fp32: VariantOffer = {
  name: 'fp32',
  kernels: 'fp32',
  encoding: 'f32',
  bytes: 497e6,
  on: { webgpu: works, wasm: works },
  fidelity: measured(3e-13, 1),
  lossy: false,
};
const q8: VariantOffer = {
  ...fp32,
  name: 'q8',
  encoding: 'q8',
  bytes: 125e6,
  fidelity: measured(0.00031, 0.998),
};
const fp16: VariantOffer = {
  ...fp32,
  name: 'fp16',
  kernels: 'fp16',
  encoding: 'f16',
  bytes: 249e6,
  on: { webgpu: refused, wasm: works },
  fidelity: null,
};
const offer: Offer = { variants: [fp32, q8, fp16], choice: null, refused: null };

describe('why this one', () => {
  const choice: Choice = {
    variant: 'q8',
    provider: 'wasm',
    providerReason: 'no-webgpu',
    variantReason: { code: 'expands-here', bytes: 125e6, memory: 1e9, limit: 2e9 },
  };

  test('is a sentence with its figures', () => {
    expect(plain(choiceText(choice, offer, en))).toBe(
      'No WebGPU here; expanded to float32 while it arrives, 125.0 MB instead of 497.0 MB.',
    );
  });

  test('nothing is compared where nothing is smaller, or no float32 weights are at hand', () => {
    expect(choiceText({ ...choice, variant: 'fp32' }, offer, en)).not.toContain('instead');
    expect(choiceText(choice, { ...offer, variants: [q8] }, en)).not.toContain('instead');
  });

  test('what the reader asked for comes first', () => {
    const asked: Choice = { ...choice, variantReason: { code: 'requested' } };
    expect(choiceText(asked, offer, en)).toMatch(/^You chose the variant; no WebGPU here/);
    expect(choiceText({ ...asked, providerReason: 'requested' }, offer, en)).toMatch(
      /^You chose both/,
    );
  });

  test('every reason has words in both languages', () => {
    const providers: ProviderReason[] = [
      'requested',
      'webgpu-available',
      'no-webgpu',
      'no-adapter',
      'software-adapter',
      'small-model',
      'no-variant-fits',
    ];
    const variants: VariantReason[] = [
      { code: 'requested' },
      { code: 'address' },
      { code: 'only-one' },
      { code: 'small-model', bytes: 12e6, limit: 32e6 },
      { code: 'save-data', bytes: 1 },
      { code: 'expands-here', bytes: 1, memory: 1, limit: 1 },
      { code: 'has-f16' },
      { code: 'fits', bytes: 1, memory: 1 },
    ];
    for (const words of Object.values(DICTIONARIES))
      for (const providerReason of providers)
        for (const variantReason of variants) {
          const text = choiceText({ ...choice, providerReason, variantReason }, offer, words);
          expect(text).not.toMatch(/undefined|NaN|=>/);
          expect(text).toMatch(/[.。]$/);
        }
  });
});

describe('how faithful', () => {
  test('a rounded variant gives its measures', () => {
    expect(fidelityText(q8, en).map(plain)).toEqual(['KL 0.00031', 'same top token 99.8%']);
  });

  test('what was not measured says so', () => {
    expect(fidelityText(fp16, en)).toEqual(['fidelity not measured']);
    expect(fidelityText({ ...fp32, fidelity: null }, en)).toEqual(['fidelity not measured']);
  });

  test('only float32 that PyTorch has confirmed is called exact', () => {
    expect(fidelityText(fp32, en).join()).toMatch(/^exact/);
    const others: VariantOffer[] = [
      { ...fp32, fidelity: null },
      { ...fp32, fidelity: measured(3e-13, 1, 'trunk') },
      { ...fp32, fidelity: { ...measured(3e-13, 1), within_bounds: false } },
      { ...fp32, lossy: true },
      { ...fp32, encoding: 'f16' },
      { ...fp32, kernels: 'fp16' },
      q8,
    ];
    for (const variant of others) {
      expect(isProvenExact(variant)).toBe(false);
      expect(fidelityText(variant, en).join()).not.toContain('exact');
    }
  });

  test('what it is made of is told, and an unknown kind by its own name', () => {
    expect(compositionText(q8, en)).toBe('8-bit weights, computed in float32');
    expect(compositionText({ ...q8, kernels: 'int2' }, en)).toBe('8-bit weights, int2');
  });
});

test('every refusal says why, with its sizes', () => {
  const sizes = { bytes: 3.25e9, limit: 1.5e9 };
  const refusals: Refusal[] = [
    { code: 'no-webgpu' },
    { code: 'no-adapter' },
    { code: 'needs-f16' },
    { code: 'no-kernels', kernels: 'int8' },
    { code: 'weight-over-binding', ...sizes },
    { code: 'weight-over-buffer', ...sizes },
    { code: 'file-too-large', ...sizes },
    { code: 'over-heap', ...sizes },
    { code: 'memory', ...sizes },
  ];
  for (const words of Object.values(DICTIONARIES)) {
    const texts = refusals.map((refusal) => plain(refusalText(refusal, words)));
    expect(new Set(texts).size).toBe(refusals.length);
    expect(texts[3]).toContain('int8');
    for (const text of texts.slice(4)) expect(text).toMatch(/3\.25 GB.*1\.50 GB/);
  }
});

describe('where a variant would run', () => {
  test('is the place asked for, even where it is refused', () => {
    expect(placementOf(fp16, 'webgpu', 'wasm')).toEqual({ provider: 'webgpu', fitness: refused });
  });
  test('is the first place, unless only the other works', () => {
    expect(placementOf(fp32, 'auto', 'webgpu').provider).toBe('webgpu');
    expect(placementOf(fp16, 'auto', 'webgpu').provider).toBe('wasm');
    const nowhere = { ...fp16, on: { webgpu: refused, wasm: refused } };
    expect(placementOf(nowhere, 'auto', 'webgpu').provider).toBe('webgpu');
  });
  test('whoever asks may try what only a guess at memory speaks against', () => {
    const large: VariantOffer = {
      ...fp32,
      on: {
        webgpu: { memory: 3e9, refusal: { code: 'memory', bytes: 3e9, limit: 2e9 } },
        wasm: works,
      },
    };
    expect(placementOf(large, 'auto', 'webgpu').provider).toBe('webgpu');
  });
  test('beside another, rather elsewhere than nowhere', () => {
    expect(anyPlacementOf(fp16, 'webgpu', 'webgpu').provider).toBe('wasm');
  });
});

test('an error offers what it says comes next, others offer nothing', () => {
  const next = { variant: 'q8', provider: 'wasm' } as const;
  const failure = { variant: 'fp16', provider: 'webgpu', cause: 'no-f16', next } as const;
  expect(nextAttempt({ kind: 'session', detail: '', failure })).toEqual(next);
  expect(nextAttempt({ kind: 'run', detail: '', failure })).toEqual(next);
  expect(nextAttempt({ kind: 'session', detail: '' })).toBeNull();
  expect(nextAttempt({ kind: 'network', url: '', offline: false })).toBeNull();
});

describe('the plot', () => {
  const layout = layoutFidelity(
    [
      { name: 'fp32', bytes: 497e6, divergence: 0 },
      { name: 'fp16', bytes: 249e6, divergence: 1e-6 },
      { name: 'q8', bytes: 125e6, divergence: 1e-4 },
      { name: 'int8', bytes: 126e6, divergence: 1.1e-4 },
      { name: 'q4', bytes: 76e6, divergence: 1e-2 },
    ],
    360,
    220,
  );
  const dot = (name: string): { x: number; y: number } =>
    layout.dots.find((found) => found.name === name) ?? { x: NaN, y: NaN };

  test('bytes run evenly from 0, divergence by powers of ten, none on the foot', () => {
    const across = (bytes: number): number =>
      layout.left + (bytes / (layout.across.at(-1)?.bytes ?? 0)) * (layout.right - layout.left);
    expect(dot('fp16').x).toBeCloseTo(across(249e6), 9);
    expect(dot('fp16').y - dot('q8').y).toBeCloseTo(dot('q8').y - dot('q4').y, 9);
    expect(dot('fp32').y).toBe(layout.bottom);
    expect(layout.clamped).toBe(true);
    expect(layout.across[0]).toEqual({ x: layout.left, bytes: 0 });
  });

  test('dots that all but coincide share a name', () => {
    expect(layout.labels.map(({ text }) => text)).toContain('q8, int8');
    expect(layout.labels).toHaveLength(4);
  });

  test('everything stays inside, whatever there is', () => {
    const point = fc.record({
      bytes: fc.integer({ min: 1, max: 4e9 }),
      divergence: fc.constantFrom(0, 1e-13, 1e-6, 3e-3, 0.2, 7),
    });
    fc.assert(
      fc.property(fc.array(point, { minLength: 1, maxLength: 8 }), (points) => {
        const drawn = layoutFidelity(
          points.map((given, index) => ({ ...given, name: `v${index}` })),
          360,
          220,
        );
        for (const { x, y } of drawn.dots) {
          expect(x).toBeGreaterThan(drawn.left - 1e-6);
          expect(x).toBeLessThan(drawn.right + 1e-6);
          expect(y).toBeGreaterThan(drawn.top - 1e-6);
          expect(y).toBeLessThan(drawn.bottom + 1e-6);
        }
      }),
    );
  });
});

test('a scale ends at 1, 2 or 5 times a power of ten, never below what it must hold', () => {
  expect(
    [0.43, 0.2, 0.13, 0.0501, 1, 7].map(roundUp).map((end) => Number(end.toPrecision(6))),
  ).toEqual([0.5, 0.2, 0.2, 0.1, 1, 10]);
  // What should be round may come with a last bit too much.
  expect(roundUp(0.2 * (1 + 1e-12))).toBeCloseTo(0.2, 9);
});
