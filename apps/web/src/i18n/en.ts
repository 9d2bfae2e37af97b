// The page's English. Its shape is the type that every other language must fill: see dictionary.ts.
import type { HeadHabits } from '../analysis/attention_rows';
import type { Availability } from '../activations/activation_offer';
import type { RoomLimit } from '../inference/activation_memory';
import type { RuntimeFacts } from '../inference/model_types';
import { count, inMillions, large, percent } from './number_format';

/** The first and the last token of a range. */
type Ends = readonly [first: number, last: number];

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
  files: {
    open: 'Open files…',
    title: 'Open a model of your own',
    caption:
      'The folder of a model that Oriel exported or published, or a bare .onnx file with its .onnx.data and its tokenizer files. Drop it anywhere on the page, or choose it here.',
    promise: 'Nothing is uploaded. The files are read in this tab and never leave this device.',
    choose: 'Choose files',
    chooseFolder: 'Choose a folder',
    close: 'Close',
    drop: 'Drop a model to open it here',
    looking: 'Looking through the files…',
    onDevice: (name: string) => `${name} · on this device`,
  },
  bare: {
    label: 'A bare file',
    unproven:
      'Unverified: a bare file has no digests, so nothing proves that these are the bytes that were exported. Its name and source are its own claim, and its fidelity is not known.',
    plain:
      'This is the plain graph: it reads the whole text again for each token, its heads cannot be switched off, and it gives the activations that it was exported with and no others. Open its manifest.json, or model.interactive.onnx, for the rest.',
    interactive: 'The logit lens comes with the manifest.json alone.',
    source: 'not known',
    claimed: (source: string) => `${source}, as the file says`,
    digest: 'not verified',
    digestMeaning: 'a bare file has no digests',
    onDevice: 'from this device',
  },
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
  copyRefused: 'This browser does not let the page copy. Select this and copy it yourself:',
  stop: '.',
  comma: ', ',
  space: ' ',
  colon: ': ',
  source: 'The model runs in this tab. Nothing you type leaves this device.',
  parameters: (value: number) => large(value),

  loading: {
    label: 'Opening the model',
    phases: {
      list: 'Looking up which models there are',
      page: 'Preparing the page',
      manifest: 'Looking up the model',
      runtime: 'Starting the runtime',
      download: 'Downloading the weights',
      session: 'Preparing the model',
    },
    bytes: (received: string, total: string) => `${received} of ${total}`,
    kept: (size: string) => `${size} of it kept from before`,
    waiting: {
      again: (seconds: string) => `The connection broke: trying again in ${seconds}`,
      'other-tab': 'Another tab is fetching the same weights: waiting for it',
      'one-thread': (time: string) =>
        `The runtime did not start with several threads within ${time}: starting it with one`,
    },
    listMissing:
      'The list of models did not come, so the page opened the model that it was built for.',
    threadsFailed:
      'The runtime did not start with several threads, so it runs on one: slower, with the same numbers. Reload the page to try several again.',
    abort: 'Stop',
    retry: 'Try again',
    otherWays: {
      wasm: 'Use WebAssembly instead',
      webgpu: 'Use WebGPU instead',
      'own-choice': 'Open the variant that suits this device',
      'exported-activations': 'Open what was exported',
      'own-model': 'Open this page’s own model',
    },
    next: (variant: string, provider: string, size: string) =>
      `Open ${variant} on ${provider} (${size})`,
    nextKept: (variant: string, provider: string) =>
      `Open ${variant} on ${provider} (already on this device)`,
    promise: 'The model runs in this tab, on this device. Every number on the page is its own.',
  },

  example: {
    label: 'Computed beforehand',
    mark: (variant: string, runtime: string) =>
      `These numbers were computed beforehand by the publisher, for this example, with ${variant} in ${runtime}.`,
    waiting: 'The model itself is still on its way. What you type runs as soon as it is open.',
    waits: 'Waits for the model, which is still on its way',
    queued: 'Your text runs as soon as the model is open.',
    failed:
      'The publisher’s example is not what it should be and is left out. The model itself opens as ever.',
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
      next: 'Check that you are online and that the host allows requests from this page (CORS), then try again. What arrived is kept.',
    },
    offline: {
      what: 'There is no network, and this model is not kept on this device.',
      next: 'Try again once you are online; models that were opened before open without a network.',
    },
    server: {
      what: 'The model’s server could not answer, several times in a row.',
      retryAfter: 'Asks to wait',
      next: 'Try again in a while: what arrived is kept.',
    },
    stalled: {
      what: 'The host stopped answering: nothing came any more.',
      silence: (time: string) => `nothing for ${time}`,
      next: 'Check the connection, then try again: what arrived is kept.',
    },
    sandboxed: {
      what: 'The frame around this page is sandboxed and keeps it from starting the part that runs models.',
      next: 'Open the page by itself at the address above, or ask whoever made the frame to write sandbox="allow-scripts allow-same-origin" in it.',
    },
    hung: {
      worker: {
        what: 'The part of the page that runs models did not start.',
        next: 'Check the connection, then try again or reload the page.',
      },
      runtime: {
        what: 'The runtime is here but did not start.',
        next: 'Try again or reload the page. If it stays, close other tabs that use much memory.',
      },
    },
    noCors: {
      what: 'The model’s server does not let this page read its files.',
      header: (origin: string) => `Access-Control-Allow-Origin: ${origin} (or *)`,
      next: 'Set that header on the server (CORS); oriel check-url tells what else is missing.',
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
    notAModel: {
      what: {
        damaged: 'This file is no ONNX model, or a damaged one.',
        'no-contract': 'This ONNX model does not say what its activations are.',
        'bad-contract': 'What this ONNX model says of its activations is not sound.',
        mismatch: 'This ONNX model describes another graph than its own.',
        'bad-location': 'This ONNX model looks for its weights outside its folder.',
      },
      expected: {
        damaged: 'a whole .onnx file',
        'no-contract': 'the metadata oriel.activations',
        'bad-contract': 'a document that keeps the contract',
        mismatch: 'the inputs and outputs that its metadata names',
        'bad-location': 'a file beside the model or below it',
      },
      next: {
        damaged: 'Export or copy it again, whole, then open it once more.',
        'no-contract':
          'Only models that Oriel exported can be opened: export this one with export.py.',
        'bad-contract': 'Export the model again.',
        mismatch: 'It was changed after it was exported: export the model again.',
        'bad-location': 'Export the model again, or keep its weights in the same folder.',
      },
    },
    filesMissing: {
      what: (files: number) =>
        files === 1
          ? 'A file of this model is missing.'
          : `${files} files of this model are missing.`,
      names: 'Missing',
      more: (files: number) => `and ${files} more`,
      next: 'Choose or drop the whole folder, or all these files together with the others.',
    },
    noModelInFiles: {
      what: 'There is no model among these files.',
      expected: 'a manifest.json or an .onnx file',
      none: 'no file',
      next: 'Choose or drop the folder that the exporter wrote, or an .onnx file that it made.',
    },
    tooManyFiles: {
      what: 'That is more files than a model has.',
      expected: (limit: string) => `at most ${limit} files`,
      next: 'Choose or drop the model’s own folder.',
    },
    addressRefused: {
      what: 'The model that this link names cannot be opened.',
      expected: {
        scheme: 'an address of http or https',
        credentials: 'an address without a user name and password',
        unreadable: 'an address',
      },
      next: 'Correct the address after ?model=. Nothing was fetched.',
    },
    originRefused: {
      what: (origin: string) => `This page opens no models from ${origin} for a link.`,
      allowed: 'Allowed',
      next: 'Nothing was fetched. Whoever runs this page can allow that origin by building it with VITE_MODEL_ORIGINS.',
    },
    variantRefused: {
      what: (variant: string, provider: string, why: string) =>
        `${variant} cannot run on ${provider} here: ${why}.`,
      next: 'Nothing was downloaded. Open one that will work, or choose among all variants.',
      nothing: 'No other variant of this model will work here. Try another browser or device.',
    },
    noVariantFits: {
      what: (provider: string) => `No variant of this model will work on ${provider} here.`,
      next: 'Each says why above. Try another browser or device, or a smaller model.',
      lossy: 'misses its bounds: opened only when asked for',
    },
    failure: {
      session: (variant: string, provider: string) =>
        `${variant} could not be opened on ${provider}.`,
      run: (variant: string, provider: string) => `${variant} broke down on ${provider}.`,
      causes: {
        'no-f16': 'It computes in float16, which the GPU refused.',
        'device-lost': 'The browser took the GPU away.',
        'out-of-memory': 'There was not enough memory.',
        other: 'The reason is the runtime’s own, below.',
      },
      next: 'Nothing else was opened in its place. What should work as far as the device says is offered here.',
      nothing: 'No other variant of this model is left to try here.',
    },
    unknownModel: {
      what: 'The model that this link names is not here.',
      next: 'Nothing was opened in its place: the text and what is chosen belong to that model. Choose one of the list above, or ask whoever made the link.',
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
      whyNot: (provider: string, why: string) => `${provider} cannot run this model here: ${why}.`,
      next: {
        webgpu:
          'WebAssembly needs no graphics adapter. For WebGPU, update this browser or try another one.',
        wasm: 'Reload the page. If it stays, this browser lacks something that the page needs: update it or try another one.',
      },
    },
    session: {
      what: 'The runtime could not open this model.',
      next: 'Try again or reload the page. If it stays, check the export with verify.py.',
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
      `${label} ${id}: token ${position} and its id`,
    count: (used: number, limit: number) => `${count(used)} of ${count(limit)} tokens`,
    tooLong: (tokens: number, limit: number) =>
      `${count(tokens)} tokens. The model reads ${count(limit)} at most, so the last ${count(tokens - limit)} are left out below.`,
    farTooLong: (limit: number) =>
      `The model reads ${count(limit)} tokens at most, and this text has far more: the results below are of its beginning.`,
    tokenizerUnsupported: (detail: string) =>
      `This page cannot use this model’s tokenizer (${detail}), so it takes token ids. Make them with the checkpoint’s own tokenizer in transformers.`,
    tokenizerDiffers: (text: string, expected: string, got: string | null) =>
      `This page’s tokenizer makes ${got === null ? 'no tokens' : `the ids ${got}`} of “${text}”, where transformers makes ${expected}. A wrong token would be a wrong number, so the page takes token ids: make them with the checkpoint’s own tokenizer.`,
    undo: 'Undo',
    redo: 'Redo',
    first: (tokens: string) => `${tokens} goes before the text, as this model’s tokenizer puts it.`,
    firstAway: (tokens: string) =>
      `${tokens}, which this model’s tokenizer puts before every text, was taken away.`,
    takeFirst: 'Take it away',
    takeAway: (token: string) => `× Take ${token} away from the front of the text`,
    putFirst: 'Put it back',
    keptIds:
      'These are not the tokens that the tokenizer makes of this text. Their ids are kept, in the link too.',
    idsGivenUp:
      'The ids that were kept do not fit this text and model: its tokens are the tokenizer’s own again.',
    retokenize: 'Tokenize the text anew',
    notInLink: 'The text is too long for a link: the address of this page leaves it out.',
    notIds: (text: string, vocab: number) =>
      `“${text}” is no token id. Type whole numbers from 0 to ${count(vocab - 1)}, with spaces between.`,
    empty:
      'Type something, or choose an example: the model starts as soon as there is a token to read.',
    examples: {
      manyVerbs: {
        name: 'many ways on',
        why: 'Many verbs fit here, so the model spreads its probability over them. Press Generate and see which one it draws.',
      },
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
    settings: 'How a token is drawn',
    play: 'Generate',
    stop: 'Stop',
    step: 'One token',
    back: 'Remove last',
    temperature: 'temperature',
    likeliest: '0, likeliest',
    all: 'all',
    contextFull: (limit: number) => `The text fills all ${count(limit)} tokens the model can read.`,
    endToken: (token: string) => `The model ended the text with ${token}.`,
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
      `Attention map of layer ${layer}, head ${head}. Arrow keys move, Enter locks the row, plus and minus change how close it is.`,
    mapHint: 'Point at a cell, or focus the map and use the arrow keys, to read its value.',
    cell: (from: string, to: string, value: string) => `${from}  looks at  ${to}  with ${value}`,
    future: (from: string, to: string) => `${from}  cannot look ahead at  ${to}`,
    /** A part of a large map, as it is looked at closely. */
    window: {
      label: 'Part of the map',
      closer: 'Closer',
      whole: 'Whole map',
      how: 'Or drag a square on the map, spread two fingers on it, turn the wheel with Ctrl held, or press + and −; Escape goes back.',
      move: { left: 'Move left', up: 'Move up', down: 'Move down', right: 'Move right' },
      all: (tokens: number) => `All ${count(tokens)} tokens.`,
      part: (rows: Ends, columns: Ends, tokens: number) =>
        `Tokens ${rows.join('–')} looking at tokens ${columns.join('–')}, of ${count(tokens)}.`,
      pooled: (perCell: number, signed: boolean) =>
        `One drawn cell stands for ${perCell} × ${perCell} tokens and shows ${signed ? 'their value furthest from 0' : 'their largest value'}.`,
    },
    hidden: (from: string, to: string) =>
      `${from}  is kept from looking at  ${to}  by the model’s mask`,
    ownScales:
      'Each map of scores has a scale of its own, which ends at its score furthest from 0; the scale below is the large map’s.',
    smallPooled: (signed: boolean) =>
      `The small maps have fewer pixels than tokens: each pixel shows ${signed ? 'the value furthest from 0' : 'the largest value'} of those it covers.`,
    weight: 'Attention',
    score: 'Score',
    switchOff: (layer: number, head: number) => `Switch off layer ${layer}, head ${head}`,
    switchOn: (layer: number, head: number) => `Switch layer ${layer}, head ${head} on again`,
    arcsTitle: (head: string) => `${head}, over the text`,
    arcsCaption:
      'The marked token looks back along the coloured lines; the thicker, the more. Faint lines show where other tokens look with more than 30%. Point at another token to follow it.',
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
    caption: (nats: string, rank: number) =>
      `What it does to the next token. The two predictions lie ${nats} nats apart (KL divergence); the likeliest token before is ${rank === 1 ? 'still the likeliest' : `now number ${rank}`}.`,
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
      absent: 'not in this model’s file',
    } satisfies Record<Availability, string> as Record<Availability, string>,
    cell: (name: string, state: Availability) =>
      `${name}: ${{ exported: 'exported, open', tapped: 'opened by tap', closed: 'closed, click to open', absent: 'not in this model’s file' }[state]}`,
    wholeColumn: 'Click to open it on every layer, again to close what was opened',
    opened: (time: string) => `The last change took ${time}.`,
    lengths: (kind: string, token: string) =>
      `Length of ${kind} by layer, one column per token. Numbers: ${token}`,
    close: 'Close it',
    waiting: 'Opening…',
    leftOut: 'It is not open: there is not enough memory for it with this text.',
    elsewhere: 'It has a view of its own: go there.',
  },

  leftOut: {
    what: (open: number, all: number) =>
      `${count(open)} of the ${count(all)} activations asked for ${open === 1 ? 'is' : 'are'} open.`,
    why: (size: string, tokens: number, room: string, limit: RoomLimit) =>
      `With this text of ${count(tokens)} tokens all of them would take about ${size}. ${
        {
          heap: `WebAssembly has room for about ${room} beside the weights.`,
          memory: `Of this device’s memory the page counts on ${room} for them.`,
          failed: `There was too little memory before, so no more than ${room} are used for them now.`,
        }[limit]
      } A shorter text needs much less.`,
    exported: 'Open only what was exported',
    all: 'Open all the same',
    allMeaning: 'If the memory is not enough, the page opens fewer again by itself',
  },

  strip: {
    role: 'heat strip',
    label: (name: string) => `${name}: one row per token. Arrow keys move, Enter locks the row.`,
    ofHead: (head: number, index: number) => `head ${head}, ${index}`,
    value: (token: string, dimension: string, value: string) =>
      `${token}  dimension ${dimension}: ${value}`,
    row: (token: string, length: string, above: string) =>
      `${token}  has length ${length}; ${above}% of its values are above zero.`,
    strongest: 'Furthest from zero',
    legend: 'Value',
    clipped: (limit: string, most: string) =>
      `Values beyond ±${limit} share the last colour; the furthest is ${most} from zero.`,
    pooled: (columns: number) =>
      `There are ${count(columns)} values in a row, more than pixels: each pixel shows the one furthest from zero.`,
  },

  variants: {
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
      'over-heap': (size: string, limit: string) =>
        `it needs ${size}, WebAssembly reaches ${limit}`,
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
  },

  compare: {
    title: 'Compare variants',
    caption:
      'A second variant reads the same text in a worker of its own. Everything here is computed now, from what both answer.',
    with: 'Beside',
    here: 'This page',
    load: (size: string) => `Load it (${size})`,
    close: 'Close, free its memory',
    reading: 'Reading the text…',
    prediction: 'What comes next',
    predictionLabel: 'Next-token probabilities of both variants on one scale',
    divergences: (a: string, b: string, ab: string, ba: string) =>
      `KL(${a} ‖ ${b}) is ${ab} nats, KL(${b} ‖ ${a}) is ${ba} nats.`,
    sameTop: (token: string, a: string, b: string) =>
      `Both find ${token} likeliest, with ${a} and ${b}.`,
    otherTop: (a: string, tokenA: string, b: string, tokenB: string) =>
      `They disagree: ${a} finds ${tokenA} likeliest, ${b} finds ${tokenB}.`,
    identical: 'Not a single probability differs.',
    token: 'Token',
    change: 'Points',
    rest: (tokens: string) => `${tokens} others`,
    attention: 'Attention',
    attentionCaption: (a: string, b: string) =>
      `How much more (or less) each token looks back in ${b} than in ${a}, for one head.`,
    layer: 'Layer',
    head: 'Head',
    furthest: 'Where they differ most',
    noMaps: 'No attention map is open in both variants.',
    leftOut: (maps: number) =>
      `There is not enough memory for a second copy of ${maps === 1 ? 'one attention map' : `${count(maps)} attention maps`}: their differences are not shown.`,
    mapRole: 'map of differences',
    mapLabel: (layer: number, head: number) =>
      `Differences in attention, layer ${layer}, head ${head}. Arrow keys move, plus and minus change how close it is.`,
    cell: (from: string, to: string, a: string, b: string, change: string) =>
      `${from}  looks at  ${to}  with ${a} and ${b}: ${change} points`,
    largest: (from: string, to: string, a: string, b: string, change: string) =>
      `The largest difference in this map: ${from} looks at ${to} with ${a} and ${b}, ${change} points.`,
    same: 'The two maps are equal to the last bit.',
    legend: (a: string, b: string) => `${b} − ${a}, points`,
    headsOff: 'The heads that are switched off are off in both.',
  },

  kept: {
    title: 'Kept on this device',
    caption:
      'Models that were opened stay in this browser’s storage: the next visit fetches none of their bytes again, and needs no network.',
    none: 'Nothing is kept yet.',
    unavailable:
      'This browser keeps nothing for this page, as in a private window, in a sandboxed frame, without TLS, or where its storage does not answer: every visit fetches the model again, and none opens without a network.',
    opened: (time: string) => `last opened ${time}`,
    older: 'older version',
    olderMeaning: 'A newer one was opened since. Where room is short, this one goes first.',
    quota: (used: string, quota: string) =>
      `${used} of about ${quota} that the browser grants this site`,
    persistence: {
      persistent: 'It stays: the browser does not clear it by itself.',
      evictable: 'The browser may clear it when the disk runs full.',
      unknown: 'The browser does not say whether it may clear it.',
    },
    keep: 'Keep for good',
    outcomes: {
      granted: 'The browser agreed to keep it.',
      denied:
        'Asked to keep it for good, the browser said no for now. It may agree once you have bookmarked or installed the page, or come here more often.',
      unavailable: 'This browser cannot be asked to keep it for good.',
    },
    remove: 'Remove',
    removeAll: 'Remove all',
    sure: (name: string) => `Remove ${name}, all versions?`,
    sureAll: 'Remove every model?',
    yes: 'Yes, remove',
    no: 'No',
    removalFailed: 'It could not be removed: reload the page and try again.',
    since: (time: string) =>
      `Opened from this device, as of ${time}: its address could not be asked for news.`,
    noRoom: 'There was no room to keep this model: the next visit fetches it again.',
    see: 'See what is kept',
    here: 'kept here',
  },

  facts: {
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
      'software-adapter':
        'because this browser’s WebGPU would run on the processor too, only slower',
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
  },
};

/** Join reasons to one sentence: the first is about where it runs, the others about its costs and benefits. */
function joinedReasons(reasons: readonly string[]): string {
  const [first = '', ...others] = reasons;
  return others.length === 0 ? first : `${first}; ${others.join(', ')}`;
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function joined(layers: readonly number[]): string {
  return `${layers.slice(0, -1).join(', ')} and ${layers.at(-1) ?? ''}`;
}
