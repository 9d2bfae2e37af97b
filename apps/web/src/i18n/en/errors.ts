// English: errors.
import { count } from '../number_format';

export const errors = {
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
  noRanges: {
    what: 'The model’s host sends other parts of a file than those that were asked for.',
    next: 'Publish the model on a host that answers range requests, or open its folder from disk.',
    from: (begin: number) => `bytes from ${begin} on`,
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
  noAttribution: {
    what: 'This variant has no attribution.',
    next: 'Export the model again with a newer Oriel. Models with experts, or that norm the output of attention or MLP once more, cannot have it.',
  },
  unknownLens: {
    what: 'The model has no lens of this name.',
    next: 'Choose one of the lenses listed here.',
  },
  unfitLens: {
    what: {
      'other-model': (name: string) => `The lens “${name}” belongs to another model.`,
      damaged: (name: string) => `The file of the lens “${name}” can’t be used.`,
    },
    next: 'The lens that was in use stays. Fit this one again with oriel fit-lens, then add it with oriel add-lens.',
  },
  unknownDictionary: {
    what: 'The model has no dictionary of this name.',
    next: 'Choose one of the dictionaries listed here.',
  },
  unfitDictionary: {
    what: {
      'other-model': (name: string) => `The dictionary “${name}” belongs to another model.`,
      damaged: (name: string) => `The file of the dictionary “${name}” can’t be used.`,
    },
    next: 'Add it to the bundle again with oriel add-dictionary, or choose another one.',
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
};
