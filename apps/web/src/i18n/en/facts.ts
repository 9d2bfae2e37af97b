// English: what ran.
import type { RuntimeFacts } from '../../inference/model_types';
import { count, large } from '../number_format';

export const facts = {
  title: 'What ran',
  caption: 'The very model behind the numbers above, and how fast it was here.',
  model: 'Model',
  shape: (
    parameters: number,
    layers: number,
    heads: number,
    hidden: number,
    vocab: string,
    context: number,
  ) =>
    `${large(parameters)} parameters, ${layers} layers × ${heads} heads, width ${hidden}, ${vocab} tokens, context ${context}`,
  source: 'Source',
  sources: { hub: 'Hugging Face Hub', folder: 'local folder', bundled: 'bundled with Oriel' },
  digest: 'Weights (SHA-256)',
  digestMeaning: 'computed by the exporter over the checkpoint',
  variant: 'Variant',
  opset: (opset: number) => `ONNX opset ${opset}`,
  fidelity: 'Fidelity',
  fidelityDetail: (p99: string, top5: string, perplexity: string, reference: string) =>
    `99th percentile ${p99} nats, top five shared ${top5}, perplexity ${perplexity} where the original has ${reference}`,
  provider: 'Runs on',
  reasons: {
    requested: 'because you chose it',
    'no-variant-fits': 'because no variant suits the GPU',
    'webgpu-available': 'because this browser offers WebGPU',
    'no-webgpu': 'because this browser has no WebGPU',
    'no-adapter': 'because no graphics adapter answered',
    'software-adapter': 'because this browser’s WebGPU would run on the processor too, only slower',
    'small-model': 'because so small a model runs faster without the trip to the graphics card',
  } satisfies Record<RuntimeFacts['reason'], string> as Record<RuntimeFacts['reason'], string>,
  threads: 'Threads',
  threadCount: (threads: number) => String(threads),
  isolated: 'the page is cross-origin isolated',
  threadsFailed: 'one only: the runtime did not start with several',
  notIsolated: 'one only: the page is not cross-origin isolated',
  download: 'Download',
  fetched: (size: string) => `${size} fetched`,
  keptBefore: (size: string) => `${size} kept from before`,
  session: 'Time to load',
  prompt: 'Last whole text',
  promptTime: (tokens: number, time: string) => `${count(tokens)} tokens in ${time}`,
  step: 'Last cached step',
  stepTime: (total: number, time: string) => `token ${count(total)} in ${time}`,
  first: 'First prediction',
  none: 'none yet',
  exporter: 'Exported by',
  contract: (version: string) => `contract ${version}`,
};
