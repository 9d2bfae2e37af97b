// English: one analysis as a page of its own, in a file or in a notebook.
export const savedPage = {
  save: 'Save as a page',
  about: (size: string) =>
    `One HTML file that opens without a server or a network, with all numbers inside: ${size} before they are compressed`,
  saving: 'Saving…',
  failed:
    'The page could not be saved: its template did not arrive. Check the connection, then try again.',
  other: 'The page could not be saved: this page was updated meanwhile. Reload it, then try again.',
  label: 'Saved analysis',
  computed: (variant: string, runtime: string) => `${variant}, computed by ${runtime}`,
  open: 'Open with the model',
  fixed: 'These results were saved: no model runs here',
  inside:
    'Everything the model computes on the way, by layer and kind. Here is what was open when the page was saved.',
  next: (tokens: string) =>
    `The model’s probability for each of the ${tokens} tokens it knows, likeliest first.`,
  text: 'Text',
  edits: 'Computed with these edits:',
  damaged: (detail: string) =>
    `This page cannot show its analysis: it holds ${detail}. The file may be incomplete; save it again.`,
  python: 'Python answers: type another text, or choose a head and switch it off.',
  run: 'Run',
  running: 'Python is computing…',
  refused: (reason: string) => `Python did not answer: ${reason}`,
};
