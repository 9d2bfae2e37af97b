// Which variant opens where: what was asked for is honoured or refused, and a choice has a true reason.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sessionGraph } from '../../apps/web/src/contract/variant_graphs';
import type { Manifest, Variant } from '../../apps/web/src/contract/generated';
import { makeOffer, nextAttempt, type Wish } from '../../apps/web/src/inference/choose_variant';
import type { Attempt, DeviceFacts, Offer } from '../../apps/web/src/inference/model_types';

const GiB = 2 ** 30;
const float32Bytes = 497_759_232;
const embeddingBytes = 50_257 * 768 * 4;

/** Weights of GPT-2 small, as each encoding stores them. */
const encodedBytes = { f32: float32Bytes, f16: 248_879_616, q8: 125_856_704, q4: 73_475_264 };
const graphBytes = 100_000;

type Encoding = keyof typeof encodedBytes;

const fidelity = (klMean: number): Pick<Variant, 'fidelity'> => ({
  fidelity: {
    reference: 'pytorch',
    text: { name: 'text', digest: '', passages: 1, tokens: 100 },
    ...{ kl_mean: klMean, kl_p99: klMean, top1: 1, top5: 1 },
    ...{ perplexity: 9, reference_perplexity: 9, activations: [] },
    bounds: { kl_mean: 1, top1: 0 },
    within_bounds: true,
  },
});

function variant(name: string, kernels: Variant['kernels'], encoding: Encoding): Variant {
  const stem = kernels === 'fp32' ? 'model' : `model_${kernels ?? ''}`;
  const travels = encoding === 'f32' ? 'model.onnx.data' : `model_${encoding}.onnx.data`;
  const activations = {} as Variant['plain']['activations'];
  return {
    ...{ name, precision: name, opset: 20, taps: [], weights: [travels], encoding },
    ...(kernels && { kernels }),
    plain: { path: `${stem}.onnx`, activations },
    interactive: { path: `${stem}.interactive.onnx`, activations },
    largest_weight:
      kernels === 'fp32'
        ? embeddingBytes
        : Math.round(embeddingBytes / (kernels === 'fp16' ? 2 : 8)),
    ...(kernels === 'fp32' &&
      encoding !== 'f32' && {
        expansion: {
          ...{
            path: 'model.onnx.data',
            bytes: float32Bytes,
            digest: '',
            dtype: 'float32' as const,
          },
          weights: [],
        },
      }),
    ...(name === 'fp32' ? {} : fidelity(0.001)),
  };
}

const all = [
  variant('fp32', 'fp32', 'f32'),
  variant('f16', 'fp32', 'f16'),
  variant('q8', 'fp32', 'q8'),
  variant('q4', 'fp32', 'q4'),
  variant('fp16', 'fp16', 'f16'),
  variant('int8', 'int8', 'q8'),
  variant('int8_static', 'int8_static', 'q8'),
  variant('int4', 'int4', 'q4'),
];

function without(variant: Variant, ...fields: (keyof Variant)[]): Variant {
  const entries = Object.entries(variant).filter(([field]) => !fields.some((f) => f === field));
  return Object.fromEntries(entries) as unknown as Variant;
}

function named(...names: string[]): Variant[] {
  return all.filter(({ name }) => names.includes(name));
}

function manifestOf(variants: readonly Variant[], parameters = 124_439_808): Manifest {
  const paths = new Set(
    variants.flatMap((variant) => [...variant.weights, sessionGraph(variant).path]),
  );
  const sizes = new Map<string, number>([
    ['model.onnx.data', encodedBytes.f32],
    ['model_f16.onnx.data', encodedBytes.f16],
    ['model_q8.onnx.data', encodedBytes.q8],
    ['model_q4.onnx.data', encodedBytes.q4],
  ]);
  return {
    model: { parameters, shape: { vocab: 50_257, hidden: 768, intermediate: 3072 } },
    files: [...paths].map((path) => ({ path, bytes: sizes.get(path) ?? graphBytes })),
    variants,
  } as unknown as Manifest;
}

const laptop: DeviceFacts = {
  webgpu: false,
  adapter: null,
  software: false,
  shaderF16: false,
  maxBindingBytes: null,
  maxBufferBytes: null,
  memoryGiB: 8,
  threads: 4,
  crossOriginIsolated: true,
  saveData: false,
};
const withGpu: DeviceFacts = {
  ...laptop,
  webgpu: true,
  adapter: 'some GPU',
  shaderF16: true,
  maxBindingBytes: 2 * GiB,
  maxBufferBytes: 4 * GiB,
};
const withoutF16 = { ...withGpu, shaderF16: false };
const smallBindings = { ...withoutF16, maxBindingBytes: 128 * 2 ** 20 };

const free: Wish = { provider: 'auto', graphName: null };

function offerFor(device: DeviceFacts, wish: Partial<Wish> = {}, variants = all): Offer {
  return makeOffer(manifestOf(variants), device, { ...free, ...wish });
}

function refusal(offer: Offer, name: string, provider: 'wasm' | 'webgpu'): unknown {
  return offer.variants.find((variant) => variant.name === name)?.on[provider].refusal;
}

describe('left to the device', () => {
  test('wasm expands 8 bits to float32, and says in how much memory', () => {
    const { choice, refused } = offerFor(laptop);
    expect(refused).toBeNull();
    // The page's copy, the runtime's, and the one that it packs.
    const memory = 3 * float32Bytes;
    const bytes = encodedBytes.q8 + graphBytes;
    expect(choice).toEqual({
      ...{ variant: 'q8', provider: 'wasm', providerReason: 'no-webgpu' },
      variantReason: { code: 'expands-here', bytes, memory, limit: 4 * GiB },
    });
  });

  test('where memory does not hold the expansion, int8 computes on what travels', () => {
    const offer = offerFor({ ...laptop, memoryGiB: 2 });
    expect(offer.choice).toMatchObject({ variant: 'int8_static', variantReason: { code: 'fits' } });
    const dynamic = all.filter(({ kernels }) => kernels !== 'int8_static');
    expect(offerFor({ ...laptop, memoryGiB: 2 }, {}, dynamic).choice?.variant).toBe('int8');
    expect(refusal(offer, 'q8', 'wasm')).toEqual({
      ...{ code: 'memory', bytes: 3 * float32Bytes, limit: GiB },
    });
    const without = all.filter(({ kernels }) => !kernels?.startsWith('int8'));
    expect(offerFor({ ...laptop, memoryGiB: 2 }, {}, without).choice?.variant).toBe('int4');
  });

  test('a browser that does not tell its memory is taken for a small one', () => {
    expect(offerFor({ ...laptop, memoryGiB: null }).choice?.variant).toBe('int8_static');
  });

  test('nothing that fits is said of each variant', () => {
    const { choice, refused } = offerFor({ ...laptop, memoryGiB: 0.25 });
    expect(choice).toBeNull();
    expect(refused).toMatchObject({ kind: 'no-variant-fits', provider: 'wasm' });
    const codes = refused?.kind === 'no-variant-fits' ? refused.refusals : [];
    expect(codes.map(({ refusal }) => refusal?.code)).toEqual(all.map(() => 'memory'));
  });

  test('WebGPU computes in float16 where it can, else in 4 bits, else in float32', () => {
    expect(offerFor(withGpu).choice).toEqual({
      ...{ variant: 'fp16', provider: 'webgpu', providerReason: 'webgpu-available' },
      variantReason: { code: 'has-f16' },
    });
    const offer = offerFor(withoutF16);
    expect(refusal(offer, 'fp16', 'webgpu')).toEqual({ code: 'needs-f16' });
    expect(offer.choice).toMatchObject({ variant: 'int4', provider: 'webgpu' });
    const noInt4 = all.filter(({ name }) => name !== 'int4');
    expect(offerFor(withoutF16, {}, noInt4).choice?.variant).toBe('q8');
  });

  test('no weight may be larger than what the GPU binds or holds', () => {
    const offer = offerFor(smallBindings);
    const sizes = { bytes: embeddingBytes, limit: 128 * 2 ** 20 };
    for (const name of ['fp32', 'f16', 'q8', 'q4']) {
      expect(refusal(offer, name, 'webgpu')).toEqual({ code: 'weight-over-binding', ...sizes });
    }
    expect(offer.choice?.variant).toBe('int4');
    const smallBuffers = { ...withoutF16, maxBufferBytes: 128 * 2 ** 20 };
    expect(refusal(offerFor(smallBuffers), 'q8', 'webgpu')).toEqual({
      code: 'weight-over-buffer',
      ...sizes,
    });
    // A manifest that does not name its largest weight has an embedding all the same.
    const unnamed = named('fp32').map((variant) => without(variant, 'largest_weight'));
    expect(refusal(offerFor(smallBindings, {}, unnamed), 'fp32', 'webgpu')).toEqual({
      code: 'weight-over-binding',
      ...sizes,
    });
  });

  test('integer products are not computed on WebGPU', () => {
    for (const name of ['int8', 'int8_static']) {
      expect(refusal(offerFor(withGpu), name, 'webgpu')).toEqual({
        code: 'no-kernels',
        kernels: name,
      });
    }
  });

  test('where no variant fits the GPU, wasm takes over and says why', () => {
    const { choice } = offerFor(smallBindings, {}, named('fp32', 'q8'));
    expect(choice).toMatchObject({
      ...{ variant: 'q8', provider: 'wasm', providerReason: 'no-variant-fits' },
    });
  });

  test('a software adapter is not chosen, even where wasm has no room', () => {
    const software = { ...withoutF16, software: true };
    expect(offerFor(software).choice).toMatchObject({
      ...{ variant: 'q8', provider: 'wasm', providerReason: 'software-adapter' },
    });
    expect(offerFor({ ...software, memoryGiB: 0.25 }).choice).toBeNull();
  });

  test('a small model opens as it is', () => {
    const small = manifestOf(named('fp32'), 3_000_000);
    const files = small.files.map((file) => ({ ...file, bytes: 12_000_000 }));
    const bundle = { ...small, files, variants: all.filter(({ encoding }) => encoding !== 'q8') };
    const described = { ...bundle, variants: [...named('fp32'), ...named('int4')] };
    expect(makeOffer(described, withGpu, free).choice).toEqual({
      ...{ variant: 'fp32', provider: 'wasm', providerReason: 'small-model' },
      variantReason: { code: 'small-model', bytes: 12_000_000, limit: 2 ** 24 },
    });
  });

  test('who saves data gets the fewest bytes', () => {
    const saving = { ...laptop, saveData: true };
    const { choice } = offerFor(saving);
    const bytes = encodedBytes.q4 + graphBytes;
    expect(choice?.variantReason).toEqual({ code: 'save-data', bytes });
    expect(['q4', 'int4']).toContain(choice?.variant);
  });

  test('what misses its bounds is never chosen, what was not measured only last', () => {
    const lossy = all.map((variant) =>
      variant.name === 'q8' ? { ...variant, lossy: true } : variant,
    );
    expect(offerFor(laptop, {}, lossy).choice?.variant).toBe('int8_static');
    const beyond = all.map((variant) =>
      variant.name === 'q8' && variant.fidelity
        ? { ...variant, fidelity: { ...variant.fidelity, within_bounds: false } }
        : variant,
    );
    expect(offerFor(laptop, {}, beyond).choice?.variant).toBe('int8_static');
    const unmeasured = all.map((variant) => without(variant, 'fidelity'));
    expect(offerFor(laptop, {}, unmeasured).choice?.variant).toBe('fp32');
    const alone = unmeasured.filter(({ name }) => name !== 'fp32');
    expect(offerFor(laptop, {}, alone).choice?.variant).toBe('q8');
  });

  test('a bundle of an older exporter opens as before', () => {
    const old = named('fp32', 'fp16').map((variant) =>
      without(variant, 'kernels', 'encoding', 'largest_weight', 'fidelity'),
    );
    const offer = offerFor(laptop, {}, old);
    expect(offer.choice?.variant).toBe('fp32');
    expect(offer.variants.map(({ kernels, encoding }) => [kernels, encoding])).toEqual([
      ['fp32', 'f32'],
      ['fp16', 'f16'],
    ]);
    expect(offerFor(laptop, {}, old.slice(0, 1)).choice?.variantReason).toEqual({
      code: 'only-one',
    });
  });
});

test('an address that names a graph leaves only how its weights travel', () => {
  expect(offerFor(laptop, { graphName: 'model.onnx' }).choice?.variant).toBe('q8');
  expect(offerFor(laptop, { graphName: 'model_int4.interactive.onnx' }).choice).toMatchObject({
    ...{ variant: 'int4', variantReason: { code: 'address' } },
  });
  expect(offerFor(laptop, { graphName: 'renamed.onnx' }).choice?.variant).toBe('q8');
});

describe('asked for', () => {
  test('a guess at memory keeps nobody from trying', () => {
    const { choice } = offerFor({ ...laptop, memoryGiB: 1 }, { variant: 'fp32' });
    expect(choice).toMatchObject({ variant: 'fp32', variantReason: { code: 'requested' } });
  });

  test('what misses its bounds opens', () => {
    const lossy = all.map((variant) => ({ ...variant, lossy: true }));
    expect(offerFor(laptop, { variant: 'q4' }, lossy).choice?.variant).toBe('q4');
    expect(offerFor(laptop, {}, lossy).refused).toMatchObject({
      kind: 'no-variant-fits',
      refusals: all.map(({ name }) => ({ variant: name, refusal: null })),
    });
  });

  test('what cannot work is refused, with the next that can', () => {
    expect(offerFor(withoutF16, { variant: 'fp16', provider: 'webgpu' }).refused).toEqual({
      ...{ kind: 'variant-refused', variant: 'fp16', provider: 'webgpu' },
      refusal: { code: 'needs-f16' },
      next: { variant: 'int4', provider: 'webgpu' },
    });
    const two = named('fp32', 'int8');
    expect(offerFor(smallBindings, { variant: 'int8', provider: 'webgpu' }, two).refused).toEqual({
      ...{ kind: 'variant-refused', variant: 'int8', provider: 'webgpu' },
      refusal: { code: 'no-kernels', kernels: 'int8' },
      next: { variant: 'int8', provider: 'wasm' },
    });
  });

  test('a variant alone goes where it works', () => {
    expect(offerFor(withGpu, { variant: 'int8' }).choice).toMatchObject({
      ...{ variant: 'int8', provider: 'wasm', providerReason: 'no-variant-fits' },
    });
  });

  test('what is too large for wasm is refused whoever asks', () => {
    const huge = manifestOf(named('fp32'));
    const files = huge.files.map((file) => ({ ...file, bytes: 1.875 * GiB }));
    const big = { ...laptop, memoryGiB: 64 };
    const wish = { ...free, variant: 'fp32' };
    expect(makeOffer({ ...huge, files }, big, wish).refused).toMatchObject({
      kind: 'variant-refused',
      refusal: { code: 'over-heap', bytes: 3.75 * GiB, limit: 3.5 * GiB },
      next: null,
    });
  });
});

const anyDevice: fc.Arbitrary<DeviceFacts> = fc
  .record({
    webgpu: fc.boolean(),
    hasAdapter: fc.boolean(),
    software: fc.boolean(),
    shaderF16: fc.boolean(),
    limit: fc.constantFrom(2 ** 27, 2 ** 28, 2 ** 31),
    memoryGiB: fc.constantFrom(null, 0.25, 1, 2, 4, 8, 32),
    saveData: fc.boolean(),
  })
  .map(({ webgpu, hasAdapter, software, shaderF16, limit, memoryGiB, saveData }) => {
    const gpu = webgpu && hasAdapter;
    return {
      ...laptop,
      ...{ webgpu, memoryGiB, saveData },
      adapter: gpu ? 'some GPU' : null,
      software: gpu && software,
      shaderF16: gpu && shaderF16,
      maxBindingBytes: gpu ? limit : null,
      maxBufferBytes: gpu ? limit : null,
    };
  });

const anyVariants = fc
  .subarray(all, { minLength: 1 })
  .chain((variants) =>
    fc
      .array(fc.boolean(), { minLength: variants.length, maxLength: variants.length })
      .map((lossy) =>
        variants.map((variant, index) => ({ ...variant, lossy: lossy[index] === true })),
      ),
  );

test('whatever the device says, a wish is honoured or refused, never replaced', () => {
  fc.assert(
    fc.property(
      anyDevice,
      anyVariants,
      fc.constantFrom('auto', 'wasm', 'webgpu' as const),
      fc.option(fc.constantFrom(...all.map(({ name }) => name)), { nil: undefined }),
      (device, variants, provider, name) => {
        const wish = { ...free, provider, ...(name !== undefined && { variant: name }) } as Wish;
        const { choice, refused, variants: offers } = offerFor(device, wish, variants);
        expect(choice === null).toBe(refused !== null);
        if (choice === null) return;
        if (provider !== 'auto') expect(choice.provider).toBe(provider);
        const chosen = offers.find((offer) => offer.name === choice.variant);
        const refusal = chosen?.on[choice.provider].refusal;
        if (name !== undefined) {
          expect(choice.variant).toBe(name);
          expect([undefined, 'memory']).toContain(refusal?.code);
        } else {
          expect(chosen?.lossy).toBe(false);
          expect(refusal).toBeNull();
        }
      },
    ),
  );
});

describe('after a failure', () => {
  const next = (
    device: DeviceFacts,
    failed: Attempt & { cause: Parameters<typeof nextAttempt>[2]['cause'] },
    tried: Attempt[] = [],
  ): Attempt | null => nextAttempt(offerFor(device), device, failed, tried);

  test('without float16, no float16; with the device lost, no GPU', () => {
    const failed = { variant: 'fp16', provider: 'webgpu' } as const;
    expect(next(withGpu, { ...failed, cause: 'no-f16' })).toEqual({
      ...{ variant: 'int4', provider: 'webgpu' },
    });
    expect(next(withGpu, { ...failed, cause: 'device-lost' })).toEqual({
      ...{ variant: 'q8', provider: 'wasm' },
    });
  });

  test('with the device lost, what is kept goes before a download, and of that what is exact', () => {
    const lost = { variant: 'fp16', provider: 'webgpu', cause: 'device-lost' } as const;
    const offer = offerFor(withGpu);
    const after = (kept: string[], tried: Attempt[] = []): Attempt | null =>
      nextAttempt(offer, withGpu, lost, tried, new Set(kept));
    const isKept = { provider: 'wasm', isKept: true };
    expect(after(['fp16', 'int4', 'fp32'])).toEqual({ variant: 'fp32', ...isKept });
    expect(after(['int4'])).toEqual({ variant: 'int4', ...isKept });
    // What was open needs no network either, and is what the reader looked at.
    expect(after(['fp16', 'int4'])).toEqual({ variant: 'fp16', ...isKept });
    // Once all that is kept has failed too, a download is what is left.
    const tried = [{ variant: 'fp16', provider: 'wasm' } as const];
    expect(after(['fp16'], tried)).toEqual({ variant: 'q8', provider: 'wasm' });
  });

  test('with the device lost, a kept variant that misses its bounds is offered to who had opened it', () => {
    const made = all.map((one) => (one.name === 'int4' ? { ...one, lossy: true as const } : one));
    const offer = offerFor(withGpu, {}, made);
    const lost = { variant: 'int4', provider: 'webgpu', cause: 'device-lost' } as const;
    expect(nextAttempt(offer, withGpu, lost, [], new Set(['int4']))).toEqual({
      ...{ variant: 'int4', provider: 'wasm', isKept: true },
    });
    expect(nextAttempt(offer, withGpu, lost, [])?.variant).toBe('q8');
  });

  test('other failures choose as before, and say what is kept', () => {
    const failed = { variant: 'q8', provider: 'wasm', cause: 'out-of-memory' } as const;
    const next = nextAttempt(
      offerFor(laptop),
      laptop,
      failed,
      [],
      new Set(['fp32', 'int8_static']),
    );
    expect(next).toEqual({ variant: 'int8_static', provider: 'wasm', isKept: true });
  });

  test('out of memory, what takes less', () => {
    const failed = { variant: 'q8', provider: 'wasm', cause: 'out-of-memory' } as const;
    expect(next(laptop, failed)).toEqual({ variant: 'int8_static', provider: 'wasm' });
    const smallest = { variant: 'int8', provider: 'wasm', cause: 'out-of-memory' } as const;
    const offer = offerFor(laptop, {}, named('q8', 'int8'));
    expect(nextAttempt(offer, laptop, smallest, [])).toBeNull();
  });

  test('nothing is offered twice, and it ends', () => {
    fc.assert(
      fc.property(
        anyDevice,
        anyVariants,
        fc.constantFrom('no-f16', 'device-lost', 'out-of-memory', 'other' as const),
        (device, variants, cause) => {
          const offer = offerFor(device, {}, variants);
          const tried: Attempt[] = [];
          let attempt: Attempt | null = offer.choice;
          while (attempt !== null) {
            const { variant, provider } = attempt;
            expect(tried).not.toContainEqual({ variant, provider });
            const offered = offer.variants.find(({ name }) => name === variant);
            expect(offered?.on[provider].refusal).toBeNull();
            expect(offered?.lossy).toBe(false);
            const failed = { variant, provider, cause } as Parameters<typeof nextAttempt>[2];
            attempt = nextAttempt(offer, device, failed, tried);
            tried.push({ variant, provider });
          }
          expect(tried.length).toBeLessThanOrEqual(2 * variants.length);
        },
      ),
    );
  });
});
