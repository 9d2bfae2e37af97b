// The ways on that the page offers after an error: none of them asks for what has just failed, in buttons and in words.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { opensWhenAsked } from '../../apps/web/src/inference/variant_offers';
import { DICTIONARIES } from '../../apps/web/src/i18n/all_dictionaries';
import { errorText } from '../../apps/web/src/i18n/error_text';
import { providerName } from '../../apps/web/src/i18n/variant_text';
import type {
  ModelErrorData,
  Provider,
  Refusal,
  VariantOffer,
} from '../../apps/web/src/inference/model_types';
import {
  mayPass,
  waysOn,
  type Asked,
  type OtherWay,
} from '../../apps/web/src/views/shell/other_way';

const providers = ['webgpu', 'wasm'] as const;
const address = { url: 'http://localhost/model.onnx' };

/** One of each kind, and of kinds that name a provider one for each. */
const failures: readonly ModelErrorData[] = [
  { kind: 'aborted' },
  { kind: 'not-found', ...address, status: 404 },
  { kind: 'server', ...address, status: 503, retryAfterMs: null },
  { kind: 'network', ...address, offline: true },
  { kind: 'stalled', ...address, ms: 1000 },
  { kind: 'hung', part: 'runtime', ms: 1000 },
  { kind: 'hung', part: 'worker', ms: 1000 },
  { kind: 'sandboxed', address: '', detail: '' },
  { kind: 'no-cors', ...address, origin: 'http://localhost' },
  { kind: 'not-a-manifest', ...address, detail: '' },
  { kind: 'contract-version', got: '9.0', supported: '1.0' },
  { kind: 'integrity', path: 'a', expected: 'b', got: 'c' },
  { kind: 'too-large', path: 'a', bytes: 2, limit: 1 },
  { kind: 'not-a-model', path: 'a', reason: 'damaged', got: '' },
  { kind: 'files-missing', names: ['a'], count: 1 },
  { kind: 'address-refused', address: 'ftp://a', reason: 'scheme' },
  { kind: 'origin-refused', origin: 'http://a', allowed: [] },
  { kind: 'unknown-variant', got: 'none', known: ['first'] },
  { kind: 'unknown-activation', got: 'none' },
  { kind: 'session', detail: '' },
  { kind: 'run', detail: '' },
  ...providers.flatMap((provider): ModelErrorData[] => [
    { kind: 'provider-unavailable', provider, detail: '' },
    { kind: 'no-variant-fits', provider, refusals: [] },
    {
      ...{ kind: 'variant-refused', variant: 'first', provider, next: null },
      refusal: { code: 'no-adapter' },
    },
    {
      ...{ kind: 'session', detail: '' },
      failure: { variant: 'first', provider, cause: 'other', next: null },
    },
  ]),
];

const fitness = fc.record({
  memory: fc.constant(1),
  refusal: fc.constantFrom<Refusal | null>(
    null,
    { code: 'no-adapter' },
    { code: 'memory', bytes: 2, limit: 1 },
  ),
});
const variant = (name: string): fc.Arbitrary<VariantOffer> =>
  fc.record({
    name: fc.constant(name),
    kernels: fc.constant('fp32'),
    encoding: fc.constant('f32'),
    bytes: fc.constant(1),
    on: fc.record({ webgpu: fitness, wasm: fitness }),
    fidelity: fc.constant(null),
    lossy: fc.boolean(),
  });
const asked: fc.Arbitrary<Asked> = fc.record({
  provider: fc.constantFrom<Provider | 'auto'>('auto', 'webgpu', 'wasm'),
  variant: fc.constantFrom(null, 'first', 'second'),
  offer: fc.option(
    fc
      .tuple(variant('first'), variant('second'))
      .map((variants) => ({ variants, choice: null, refused: null })),
  ),
  isOwnModel: fc.boolean(),
});

function providerOf(error: ModelErrorData): Provider | null {
  if ('provider' in error) return error.provider;
  return 'failure' in error ? error.failure.provider : null;
}

/** Whether a way leads to something that can be opened, where the offer tells. */
function mayOpen(way: OtherWay, { variant, offer }: Asked): boolean {
  if (offer === null) return way !== 'webgpu';
  const fits = ({ on, lossy }: VariantOffer, provider: Provider): boolean =>
    variant === null ? !lossy && on[provider].refusal === null : opensWhenAsked(on[provider]);
  const suits = ({ on, lossy }: VariantOffer): boolean =>
    !lossy && providers.some((provider) => on[provider].refusal === null);
  switch (way) {
    case 'webgpu':
    case 'wasm':
      return offer.variants.some(
        (one) => (variant === null || one.name === variant) && fits(one, way),
      );
    case 'own-choice':
      return offer.variants.some(suits);
    case 'same':
    case 'exported-activations':
    case 'own-model':
      return true;
  }
}

test.each(failures)('$kind $provider: every way on differs from what failed', (error) => {
  fc.assert(
    fc.property(asked, (asked) => {
      const ways = waysOn(error, asked);
      expect(new Set(ways).size).toBe(ways.length);
      expect(ways).not.toContain(providerOf(error));
      if (asked.isOwnModel) expect(ways).not.toContain('own-model');
      if (asked.variant === null && asked.provider === 'auto' && error.kind !== 'unknown-variant')
        expect(ways).not.toContain('own-choice');
      if (error.kind === 'no-variant-fits' && asked.provider === 'auto') expect(ways).toEqual([]);
      if (error.kind === 'provider-unavailable' || error.kind === 'no-variant-fits')
        expect(ways.filter((way) => !mayOpen(way, asked))).toEqual([]);
    }),
  );
});

test.each(Object.values(DICTIONARIES))('in $code no error tells to choose what failed', (words) => {
  for (const error of failures) {
    const failed = providerOf(error);
    const { next } = errorText(error, words);
    if (failed === 'wasm') expect(next).not.toContain(providerName('wasm'));
    // Without WebGPU at hand there is nothing to switch to.
    if (failed === null) for (const one of providers) expect(next).not.toContain(providerName(one));
  }
});

test('where WebGPU is not there, WebAssembly is offered; where that fails, WebGPU where it would work', () => {
  const works = { memory: 1, refusal: null };
  const [first] = fc.sample(variant('first'), 1);
  if (first === undefined) throw new Error('no sample');
  const both = { ...first, lossy: false, on: { webgpu: works, wasm: works } };
  const asked = { variant: null, isOwnModel: true } as const;
  const offer = { variants: [both], choice: null, refused: null };
  const unavailable = (provider: Provider): ModelErrorData => ({
    ...{ kind: 'provider-unavailable', provider, detail: '' },
  });
  const ways = (failed: Provider, provider: Provider | 'auto'): OtherWay[] =>
    waysOn(unavailable(failed), { ...asked, provider, offer });
  expect(ways('webgpu', 'webgpu')).toEqual(['wasm', 'same']);
  expect(ways('webgpu', 'auto')).toEqual(['wasm', 'same']);
  expect(ways('wasm', 'wasm')).toEqual(['webgpu', 'same']);
  expect(ways('wasm', 'auto')).toEqual(['webgpu', 'same']);
});

test('what may pass is asked for again, and what is refused for good is not', () => {
  const passing = failures.filter(mayPass).map(({ kind }) => kind);
  expect(passing).toEqual(expect.arrayContaining(['not-found', 'server', 'network', 'stalled']));
  for (const refused of ['unknown-variant', 'unknown-activation', 'origin-refused'])
    expect(passing).not.toContain(refused);
});
