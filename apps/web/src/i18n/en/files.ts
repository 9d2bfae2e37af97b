// English: the visitor’s own files.

export const files = {
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
  saveTitle: 'Save the open model’s graph',
  saveCaption: (weights: readonly string[]) =>
    [
      'One ONNX file with all that is open now, its nodes in order: for Netron or another runtime.',
      ...(weights.length === 0
        ? []
        : [`Its weights are not in it: it reads ${weights.join(', ')} in the same folder.`]),
    ].join(' '),
  save: 'Save this graph',
  onDevice: (name: string) => `${name} · on this device`,
};
