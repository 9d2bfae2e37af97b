// English: scripts that compute the numbers on the screen again.
export const program = {
  copy: 'Copy as Python',
  notebook: 'Download notebook',
  about: 'Computes these numbers again with PyTorch and transformers alone, edits included',
};
