// English: the page itself, and what several of its parts share.
import type { Language } from '../languages';
import { large } from '../number_format';

export const page = {
  code: 'en' as Language,
  pageTitle: 'Oriel: look into a transformer',
  otherLanguage: '中文',
  languageMissing: 'The Chinese texts did not arrive. Check the connection, and press 中文 again.',
  skip: 'Skip to the attention maps',
  tagline: 'Look into a transformer while it reads your sentence.',
  model: 'Model',
  modelByAddress: 'from this address',
  runsOn: 'Runs on',
  providers: { auto: 'best available', webgpu: 'WebGPU', wasm: 'WebAssembly' },
  useLight: 'Use light colours',
  useDark: 'Use dark colours',
  layer: 'Layer',
  layerShort: (layer: number) => `L${layer}`,
  headShort: (head: number) => `H${head}`,
  locked: 'locked, Esc releases',
  lockedByTouch: 'locked, a tap releases',
  save: 'Save as',
  copy: 'copy all',
  copied: 'copied',
  copyRefused: 'This browser does not let the page copy. Select this and copy it yourself:',
  stop: '.',
  comma: ', ',
  space: ' ',
  colon: ': ',
  openAlone: 'Open in Oriel',
  source: 'The model runs in this tab. Nothing you type leaves this device.',
  parameters: (value: number) => large(value),
};
