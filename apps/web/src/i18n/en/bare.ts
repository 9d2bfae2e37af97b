// English: a bare file, opened without a manifest.

export const bare = {
  label: 'A bare file',
  unproven:
    'Unverified: a bare file has no digests, so nothing proves that these are the bytes that were exported. Its name and source are its own claim, and its fidelity is not known.',
  plain:
    'This is the plain graph: it reads the whole text again for each token, its heads cannot be switched off, and it gives the activations that it was exported with and no others. Open its manifest.json, or its .open.onnx (.interactive.onnx of an older export), for the rest.',
  decoder:
    'This is the decoder graph, which other programs open too: its heads cannot be switched off. Open its manifest.json, or its .open.onnx, for that. The logit lens comes with the manifest.json alone.',
  open: 'The logit lens comes with the manifest.json alone.',
  static:
    'This is the static graph for WebGPU, with a cache of fixed length. For longer texts, open the .open.onnx file; for the logit lens, open the manifest.json.',
  interactive: 'The logit lens comes with the manifest.json alone.',
  source: 'not known',
  claimed: (source: string) => `${source}, as the file says`,
  digest: 'not verified',
  digestMeaning: 'a bare file has no digests',
  onDevice: 'from this device',
};
