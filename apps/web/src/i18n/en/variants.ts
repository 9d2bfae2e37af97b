// English: the variants of a model.
import { inMillions } from '../number_format';

export const variants = {
  title: 'Variants',
  change: 'Change variant',
  changeMeaning: 'Open the same model with its weights sent and computed in another precision',
  hide: 'Hide variants',
  compare: 'Compare variants',
  compareMeaning: 'See side by side what two precisions of this model answer',
  nothingOpen: 'No model is open',
  automatic: 'Choose for this device',
  on: (variant: string, provider: string) => `${variant} on ${provider}`,
  brief: {
    bundled: (parameters: number) =>
      `A very small model made for this page: ${inMillions(parameters)} parameters. It knows only a made-up, simple English.`,
    other: (name: string, parameters: number) =>
      `${name}, a model of ${inMillions(parameters)} parameters, runs in this tab.`,
    faithful: {
      exact: 'Its numbers are those of the original.',
      reduced: (share: string) =>
        `It is a compressed variant: its likeliest token is the original’s in ${share} of places.`,
      unmeasured: 'How close its numbers are to the original’s was not measured.',
    },
    details: (place: string) => `Runs as ${place}`,
  },
  sentence: (reasons: readonly string[]) => `${capitalized(joinedReasons(reasons))}.`,
  why: {
    provider: {
      requested: (provider: string) => `you chose ${provider}`,
      'webgpu-available': 'this device has WebGPU',
      'no-webgpu': 'no WebGPU here',
      'no-adapter': 'no graphics adapter answered here',
      'software-adapter': 'WebGPU is only imitated by the processor here',
      'small-model': 'a model this small answers sooner without the GPU',
      'no-variant-fits': 'no variant suits the GPU here',
    },
    variant: {
      requested: 'you chose the variant',
      address: 'the address names the variant',
      'only-one': 'the only variant it has',
      'small-model': (size: string) => `at ${size} there is nothing worth saving`,
      'save-data': 'your browser saves data',
      'expands-here': 'expanded to float32 while it arrives',
      'has-f16': 'the GPU computes in float16',
      fits: 'what would come first does not work here',
    },
    both: 'you chose both the variant and where it runs',
    instead: (size: string, reference: string) => `${size} instead of ${reference}`,
  },
  faithful: {
    label: 'How faithful it is to the original',
    divergence: (kl: string) => `KL ${kl}`,
    top1: (share: string) => `same top token ${share}`,
    exact: (kl: string) => `exact: float32, verified against PyTorch, KL ${kl}`,
    unmeasured: 'fidelity not measured',
    meaning:
      'Mean KL divergence of the next-token distribution from the float32 model’s, in nats, and the share of positions with the same likeliest token.',
  },
  lossy: 'beyond its bounds',
  lossyMeaning: (kl: string, top1: string) =>
    `Its bounds are a KL of at most ${kl} and the same top token in at least ${top1}; it was exported all the same.`,
  caption:
    'The same model with its weights sent and computed in different ways. Fidelity is how far its next-token predictions lie from the float32 model’s, as measured at export.',
  measuredOn: (text: string, tokens: string, reference: string) =>
    `Measured on “${text}”, ${tokens} tokens that no variant was fitted to, against ${reference}.`,
  references: {
    pytorch: 'the float32 model in PyTorch',
    trunk: 'this model’s own fp32 graph',
  },
  columns: {
    variant: 'Variant',
    bytes: 'Download',
    memory: 'Memory',
    kl: 'KL, nats',
    top1: 'Same top token',
    perplexity: 'Perplexity',
    use: 'Use',
    tryAnyway: 'Try anyway',
  },
  weights: {
    f32: '32-bit weights',
    f16: '16-bit weights',
    q8: '8-bit weights',
    q4: '4-bit weights',
  },
  kernels: {
    fp32: 'computed in float32',
    fp16: 'computed in float16',
    int8: 'computed in 8-bit integers',
    int8_static: 'computed in 8-bit integers, calibrated',
    int4: 'computed on 4-bit weights',
  },
  notMeasured: 'not measured',
  inUse: 'in use',
  opening: 'opening',
  suits: 'suits this device',
  use: 'Use',
  tryAnyway: 'Try anyway',
  stays: (variant: string) => `${variant} stays open.`,
  understood: 'Close',
  useNamed: (use: string, variant: string, size: string) =>
    `${use}: ${variant}, ${size} to download`,
  refused: (provider: string, why: string) => `${provider}: ${why}`,
  refusals: {
    'no-webgpu': 'this browser has no WebGPU',
    'no-adapter': 'no graphics adapter answered',
    'needs-f16': 'the GPU does not compute in float16',
    'no-kernels': (kernels: string) => `it has no kernels for ${kernels}`,
    'weight-over-binding': (size: string, limit: string) =>
      `one weight takes ${size}, the GPU reads at most ${limit} at once`,
    'weight-over-buffer': (size: string, limit: string) =>
      `one weight takes ${size}, a GPU buffer holds at most ${limit}`,
    'file-too-large': (size: string, limit: string) =>
      `a file unfolds to ${size}, the browser holds at most ${limit} in one piece`,
    'over-heap': (size: string, limit: string) => `it needs ${size}, WebAssembly reaches ${limit}`,
    memory: (size: string, limit: string) =>
      `it needs ${size} of memory, a page may count on about ${limit}`,
  },
  plot: {
    title: 'Download against divergence',
    label: (variants: number) =>
      `Plot of ${variants} variants: bytes to download across, KL divergence upwards. The table has the same figures.`,
    bytes: 'download, MB',
    kl: 'mean KL, nats',
    worse: 'less faithful',
    below: (limit: string) => `≤ ${limit}`,
  },
  downloading: (place: string) => `Opening ${place}`,
  meanwhile: 'You can switch to another variant while this one downloads.',
};

/** Join reasons to one sentence: the first is about where it runs, the others about its costs and benefits. */
function joinedReasons(reasons: readonly string[]): string {
  const [first = '', ...others] = reasons;
  return others.length === 0 ? first : `${first}; ${others.join(', ')}`;
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
