// English texts of the comparison of this device with the publisher's numbers.

export const proof = {
  title: 'On this device',
  waiting: 'not compared yet',
  none: 'not proven: the publisher stored no numbers to compare with',
  failed: 'not proven: the comparison did not succeed',
  references: { pytorch: 'PyTorch', runtime: 'ONNX Runtime at the publisher’s' },
  right: (provider: string, reference: string, error: string) =>
    `${provider}: as ${reference} to ${error}; worst `,
  exactly: (provider: string, reference: string) => `${provider}: exactly as ${reference}`,
  compared: (count: string, runtime: string) =>
    `${count} activations of a short text compared with ${runtime}`,
  wrong: (provider: string) => `${provider}: not the model’s numbers; first at `,
  note: {
    label: 'Wrong numbers',
    title: (provider: string) =>
      `On this device, ${provider} computes something else than the model.`,
    inLayer: (layer: number) => `From layer ${layer} on: `,
    inWhole: 'The first to depart: ',
    off: (error: string, bound: string) => `is off by ${error}, where ${bound} is allowed.`,
    noNumber: 'holds what is not a number.',
    advice: 'Do not trust what this page shows.',
  },
};
