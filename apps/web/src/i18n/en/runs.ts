// English: the runs that the reader keeps.
import { count } from '../number_format';

export const runs = {
  title: 'Kept runs',
  caption:
    'A kept run is its description: model, variant, text and edits. Its numbers are computed again whenever it is opened or compared.',
  keep: 'Keep this run',
  none: 'None yet.',
  named: (text: string, edits: number) =>
    edits === 0 ? text || 'No text' : `${text} · ${edits === 1 ? '1 edit' : `${edits} edits`}`,
  name: (name: string) => `Name of the run “${name}”`,
  facts: (model: string, variant: string, edits: number) =>
    `${model} · ${variant}${edits === 0 ? '' : edits === 1 ? ' · 1 edit' : ` · ${edits} edits`}`,
  seed: 'What sampling drew is part of the text, so no seed is needed.',
  open: 'Open',
  openNamed: (name: string) => `Open the run “${name}”`,
  compare: 'Compare',
  compareNamed: (name: string) => `Compare with the run “${name}”`,
  remove: 'Remove',
  removeNamed: (name: string) => `Remove the run “${name}”`,
  isCompared: 'compared now',
  cannotOpen: 'Its model cannot be opened here.',
  notInLink: (runs: number) =>
    runs === 1
      ? 'One run has no place in the link: its text is too long, its edits hold pasted numbers, its files are on this device, or the link is full. Reloading the page loses it.'
      : `${count(runs)} runs have no place in the link: their texts are too long, their edits hold pasted numbers, their files are on this device, or the link is full. Reloading the page loses them.`,
  leftOutOfLink: (runs: number) =>
    runs === 1
      ? 'The link that was opened has left one run out.'
      : `The link that was opened has left ${count(runs)} runs out.`,
};
