// English: a model that is being opened.

export const loading = {
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
};
