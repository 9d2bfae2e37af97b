// English texts of the comparison of this device with the publisher's numbers.

export const proof = {
  title: 'On this device',
  waiting: 'not compared yet',
  none: 'not proven: the publisher stored no numbers to compare with',
  failed: 'not proven: the comparison failed',
  references: { pytorch: 'PyTorch', runtime: 'ONNX Runtime at the publisher’s' },
  right: (provider: string, reference: string, error: string) =>
    `${provider}: matches ${reference} to ${error}; worst `,
  exactly: (provider: string, reference: string) => `${provider}: matches ${reference} exactly`,
  compared: (count: string, runtime: string) =>
    `${count} activations of a short text compared with ${runtime}`,
  wrong: (provider: string) => `${provider}: wrong numbers, first at `,
  note: {
    label: 'Wrong numbers',
    title: (provider: string) =>
      `On this device, ${provider} computes wrong numbers for this model.`,
    inLayer: (layer: number) => `From layer ${layer} on: `,
    inWhole: 'The first wrong activation: ',
    off: (error: string, bound: string) => `is off by ${error}; at most ${bound} is allowed.`,
    noNumber: 'contains NaN or infinity.',
    advice: 'Do not rely on the numbers that this page shows here.',
  },
};
