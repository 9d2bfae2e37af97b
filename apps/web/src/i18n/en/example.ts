// English: an answer that the publisher computed beforehand.

export const example = {
  label: 'Computed beforehand',
  mark: (variant: string, runtime: string) =>
    `These numbers were computed beforehand by the publisher, for this example, with ${variant} in ${runtime}.`,
  waiting: 'The model itself is still on its way. What you type runs as soon as it is open.',
  waits: 'Waits for the model, which is still on its way',
  queued: 'Your text runs as soon as the model is open.',
  failed:
    'The publisher’s example is not what it should be and is left out. The model itself opens as ever.',
};
