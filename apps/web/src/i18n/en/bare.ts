// English: a bare file, opened without a manifest.

export const bare = {
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
};
