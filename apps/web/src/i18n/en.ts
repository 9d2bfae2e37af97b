// The page's English. Its shape is the type that every other language must fill: see dictionary.ts.
import type { HeadHabits } from '../analysis/attention_rows';
import type { Availability } from '../activations/activation_offer';
import type { RuntimeFacts } from '../inference/model_types';
import { count, percent } from './number_format';

const share = (value: number): string => percent(value);

export const en = {
  code: 'en' as 'en' | 'zh',
  htmlLanguage: 'en',
  pageTitle: 'Oriel: look into a transformer',
  otherLanguage: '中文',
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
  save: 'Save as',
  copy: 'copy all',
  copied: 'copied',
  stop: '.',
  source: 'The model runs in this tab. Nothing you type leaves your machine.',

  loading: {
    label: 'Opening the model',
    phases: {
      manifest: 'Looking up the model',
      runtime: 'Starting the runtime',
      download: 'Downloading the weights',
      session: 'Preparing the model',
    },
    bytes: (received: string, total: string) => `${received} of ${total}`,
    abort: 'Stop',
    retry: 'Try again',
    otherWays: {
      wasm: 'Use WebAssembly instead',
      'first-variant': 'Open the first variant',
      'exported-activations': 'Open what was exported',
    },
    promise: 'The model runs in this tab, on your machine. Every number on the page is its own.',
  },

  errors: {
    got: 'Got',
    expected: 'Expected',
    address: 'Address',
    detail: 'Detail',
    known: 'Known',
    aborted: {
      what: 'Loading was stopped.',
      next: 'Nothing is lost: try again when you like.',
    },
    notFound: {
      model: 'There is no model at this address.',
      file: 'A file of the model is not where its manifest says.',
      fileNext: 'Export or upload the model again, all its files together, then try again.',
      page: 'a web page',
      modelNext:
        'Export one (make demo writes the bundled model), or check the address in VITE_MODEL_URL.',
      expected: 'a model.onnx or a manifest.json',
    },
    network: {
      what: 'The model could not be fetched.',
      next: 'Check that you are online and that the host allows requests from this page (CORS), then try again.',
    },
    notAManifest: {
      what: 'What came from this address is not a manifest that this page can read.',
      next: 'Point the page at the manifest.json that the exporter wrote, or export the model again.',
    },
    contractVersion: {
      what: 'This model was exported for another version of the contract.',
      next: 'Export it again with the exporter that belongs to this page.',
    },
    integrity: {
      what: 'A file is not the one that the manifest describes.',
      next: 'The download may have been cut or changed on the way. Try again; if it stays, export or upload the model again.',
      file: 'File',
    },
    tooLarge: {
      what: 'A file of this model is larger than this browser can hold.',
      next: 'Choose a smaller model, or export it in a smaller precision.',
      expected: (limit: string) => `at most ${limit}`,
    },
    unknownVariant: {
      what: 'The model has no variant of this name.',
      next: 'Choose one that it has.',
    },
    unknownActivation: {
      what: 'The model has no activation of this name.',
      next: 'Open the activations that it was exported with.',
    },
    noTokenizer: {
      what: 'This model came without a tokenizer, so it cannot read text.',
      next: 'Type token ids instead.',
    },
    badTokens: {
      what: 'The model does not know one of these tokens.',
      next: 'Change the text, or use ids below the size of the vocabulary.',
    },
    tooLong: {
      what: 'The text is longer than the model can read.',
      next: 'Shorten it.',
      tokens: (tokens: number) => `${count(tokens)} tokens`,
      expected: (limit: number) => `at most ${count(limit)} tokens`,
    },
    providerUnavailable: {
      what: (provider: string) => `${provider} cannot run this model here.`,
      next: 'Choose WebAssembly, which runs everywhere, or try another browser.',
    },
    session: {
      what: 'The runtime could not open this model.',
      next: 'Try again, or switch between WebGPU and WebAssembly. If it stays, check the export with verify.py.',
    },
    run: {
      what: 'The model failed while reading this text.',
      next: 'Change the text or reload the model. The figures below still belong to the text before.',
    },
  },

  prompt: {
    title: 'Text',
    titleIds: 'Token ids',
    placeholder: 'Type a sentence',
    placeholderIds: 'For example 464 3290 318',
    examplesLabel: 'Example texts',
    tokensLabel: 'Tokens of the text',
    tokensCaption:
      'The model reads tokens, not words. Under each is its id. Click one to follow it through the page.',
    tokenName: (position: number, label: string, id: number) =>
      `Token ${position}: ${label}, id ${id}`,
    count: (used: number, limit: number) => `${count(used)} of ${count(limit)} tokens`,
    tooLong: (tokens: number, limit: number) =>
      `${count(tokens)} tokens. The model reads ${count(limit)} at most, so the last ${count(tokens - limit)} are left out below.`,
    notIds: (text: string, vocab: number) =>
      `“${text}” is no token id. Type whole numbers from 0 to ${count(vocab - 1)}, with spaces between.`,
    empty:
      'Type something, or choose an example: the model starts as soon as there is a token to read.',
    examples: {
      indirectObject: {
        name: 'who gets the book',
        why: 'John gives, so Mary receives. Which heads look at her name?',
      },
      induction: {
        name: 'a list again',
        why: 'The list starts over. An induction head finds what came next the first time.',
      },
      agreement: {
        name: 'one or many',
        why: 'The verb must fit “keys”, though “shelf” and “window” stand nearer.',
      },
      brackets: { name: 'brackets', why: 'The one opened last closes first. Which is it?' },
      counting: { name: 'counting', why: 'Numbers in order: what follows seven?' },
      days: { name: 'days', why: 'The days in their order: what follows Friday?' },
      quotes: { name: 'an open quote', why: 'Something was said and has not been closed yet.' },
    },
  },

  next: {
    title: 'What comes next',
    caption: (vocab: string) =>
      `The model’s probability for each of the ${vocab} tokens it knows, likeliest first. Click one to append it.`,
    token: 'Token',
    truth: 'The model',
    drawn: 'When sampling',
    cut: 'cut',
    append: 'Append this token',
    appendNamed: (label: string) => `Append ${label}`,
    rest: (tokens: string, probability: string) => `${tokens} others share ${probability}.`,
    more: 'Show more',
    fewer: 'Show fewer',
    entropy: (bits: string, choices: string) =>
      `Uncertainty ${bits} bits: as unsure as among ${choices} equal choices.`,
    beforeMark: 'The dark tick marks the probability before heads were switched off.',
  },

  generate: {
    label: 'Generate',
    play: 'Generate',
    stop: 'Stop',
    step: 'One token',
    back: 'Remove last',
    temperature: 'temperature',
    likeliest: '0, likeliest',
    all: 'all',
    contextFull: (limit: number) => `The text fills all ${count(limit)} tokens the model can read.`,
    endToken: 'The model ended the text.',
  },

  attention: {
    title: 'Attention',
    caption: (theme: 'light' | 'dark') =>
      `Each small map is one attention head. Each row is a token looking back at the tokens before it; ${theme === 'light' ? 'darker' : 'brighter'} means it attends more. Point at a map to see it large, click to lock it.`,
    layersOpen: (layers: readonly number[]) =>
      layers.length === 1
        ? `Layer ${layers.join('')} is open.`
        : `Layers ${joined(layers)} are open.`,
    openOthers: (maps: number) =>
      maps === 1 ? 'Open the other layer' : `Open the other ${maps} layers`,
    noneOpen: 'No attention map is open. Open one on the panel of activations below.',
    kindLabel: 'Before or after softmax',
    probabilities: 'Probabilities',
    scores: 'Raw scores',
    root: 'Bring out small values',
    gridLabel: 'Attention heads, layers down and heads across',
    headName: (layer: number, head: number) => `Layer ${layer}, head ${head}`,
    headLabel: (layer: number, head: number, off: boolean) =>
      `Layer ${layer}, head ${head}${off ? ', switched off' : ''}`,
    off: 'off',
    habits: (habits: HeadHabits) =>
      `On average ${share(habits.previous)} on the token before, ${share(habits.first)} on the first, ${share(habits.self)} on itself${habits.induction === null ? '' : `, ${share(habits.induction)} on what followed the same token earlier`}.`,
    mapRole: 'attention map',
    mapLabel: (layer: number, head: number) =>
      `Attention map of layer ${layer}, head ${head}. Arrow keys move, Enter locks the row.`,
    mapHint: 'Point at a cell, or focus the map and use the arrow keys, to read its value.',
    cell: (from: string, to: string, value: string) => `${from}  looks at  ${to}  with ${value}`,
    future: (from: string, to: string) => `${from}  cannot look ahead at  ${to}`,
    weight: 'Attention',
    score: 'Score',
    switchOff: 'Switch this head off',
    switchOn: 'Switch it on again',
    arcsTitle: (head: string) => `${head}, over the text`,
    arcsCaption:
      'The marked token looks back along the coloured lines; the thicker, the more. Faint lines show where other tokens look with more than 30 %. Point at another token to follow it.',
    arcsLabel: 'The text with the attention of one token',
    looksAt: 'Looking back from',
  },

  effect: {
    title: (heads: number) =>
      heads === 1 ? '1 head is switched off' : `${heads} heads are switched off`,
    restore: 'Switch all on',
    remove: (head: string) => `Switch ${head} on`,
    before: 'Before',
    after: 'After',
    change: 'Points',
    caption: (bits: string, rank: number) =>
      `What it does to the next token. The two predictions lie ${bits} bits apart (KL divergence); the likeliest token before is ${rank === 1 ? 'still the likeliest' : `now number ${rank}`}.`,
    afterGeneration: 'The comparison with the untouched model follows when generation stops.',
  },

  lens: {
    title: 'Logit lens',
    caption:
      'What the model would say next if it stopped after each layer. Each column is a position in the text, each row a layer; the bottom row is the real prediction. The stronger the colour, the surer.',
    closed: 'The lens was not exported, but it is in the model.',
    partly: (open: number, all: number) => `Open on ${open} of ${all} layers.`,
    open: (layers: number) => `Open it on all ${layers} layers`,
    cell: (layer: number, input: string, guess: string, probability: string, right: boolean) =>
      `Layer ${layer}, after ${input}: ${guess}, ${probability}${right ? ', as it really went on' : ''}`,
    reading: (layer: number, input: string) => `After layer ${layer}, at  ${input}`,
    legend: 'Probability of the likeliest',
    right: 'the text really goes on like this',
  },

  panel: {
    title: 'Inside',
    caption:
      'Everything the model computes on the way, by layer and kind. What was not exported can be opened here: no download, the weights stay. Click a square to look at its numbers, a heading to open a kind on every layer.',
    states: {
      exported: 'exported with the model',
      tapped: 'opened by tap',
      closed: 'can be opened',
      absent: 'this model has none',
    } satisfies Record<Availability, string> as Record<Availability, string>,
    cell: (name: string, state: Availability) =>
      `${name}: ${{ exported: 'exported, open', tapped: 'opened by tap', closed: 'closed, click to open', absent: 'this model has none' }[state]}`,
    wholeColumn: 'Click to open it on every layer, again to close what was opened',
    opened: (time: string) => `The last change took ${time}.`,
    lengths: (kind: string, token: string) =>
      `Length of ${kind} by layer, one column per token. Numbers: ${token}`,
    close: 'Close it',
    waiting: 'Opening…',
    elsewhere: 'It has a view of its own: go there.',
  },

  strip: {
    role: 'heat strip',
    label: (name: string) => `${name}: one row per token. Arrow keys move, Enter locks the row.`,
    ofHead: (head: number, index: number) => `head ${head}, ${index}`,
    value: (token: string, dimension: string, value: string) =>
      `${token}  dimension ${dimension}: ${value}`,
    row: (token: string, length: string, above: string) =>
      `${token}  has length ${length}; ${above} % of its values are above zero.`,
    strongest: 'Furthest from zero',
    legend: 'Value',
    clipped: (limit: string, most: string) =>
      `Values beyond ±${limit} share the last colour; the furthest is ${most} from zero.`,
    pooled: (columns: number) =>
      `There are ${count(columns)} values in a row, more than pixels: each pixel shows the one furthest from zero.`,
  },

  facts: {
    title: 'What ran',
    caption: 'The very model behind the numbers above, and how fast it was here.',
    model: 'Model',
    shape: (
      parameters: string,
      layers: number,
      heads: number,
      hidden: number,
      vocab: string,
      context: number,
    ) =>
      `${parameters} parameters, ${layers} layers × ${heads} heads, width ${hidden}, ${vocab} tokens, context ${context}`,
    source: 'Source',
    sources: { hub: 'Hugging Face Hub', folder: 'local folder', bundled: 'bundled with Oriel' },
    digest: 'Weights (SHA-256)',
    digestMeaning: 'computed by the exporter over the checkpoint',
    variant: 'Variant',
    variantDetail: (precision: string, opset: number) => `${precision}, ONNX opset ${opset}`,
    provider: 'Runs on',
    reasons: {
      requested: 'because you chose it',
      'webgpu-available': 'because this browser offers WebGPU',
      'no-webgpu': 'because this browser has no WebGPU',
      'no-adapter': 'because no graphics adapter answered',
      'software-adapter':
        'because this browser’s WebGPU would run on the processor too, only slower',
      'small-model': 'because so small a model runs faster without the trip to the graphics card',
    } satisfies Record<RuntimeFacts['reason'], string> as Record<RuntimeFacts['reason'], string>,
    threads: 'Threads',
    threadCount: (threads: number) => String(threads),
    isolated: 'the page is cross-origin isolated',
    notIsolated: 'one only: the page is not cross-origin isolated',
    download: 'Download',
    session: 'Session',
    prompt: 'Last whole text',
    promptTime: (tokens: number, time: string) => `${count(tokens)} tokens in ${time}`,
    step: 'Last cached step',
    stepTime: (total: number, time: string) => `token ${count(total)} in ${time}`,
    first: 'First prediction',
    none: 'none yet',
    exporter: 'Exported by',
    contract: (version: string) => `contract ${version}`,
  },
};

function joined(layers: readonly number[]): string {
  return `${layers.slice(0, -1).join(', ')} and ${layers.at(-1) ?? ''}`;
}
