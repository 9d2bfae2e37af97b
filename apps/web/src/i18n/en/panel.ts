// English: the panel of activations.
import type { Availability } from '../../activations/activation_offer';

export const panel = {
  title: 'Inside',
  caption:
    'Everything the model computes on the way, by layer and kind. What was not exported can be opened here: no download, the weights stay. Click a square to look at its numbers, a heading to open a kind on every layer.',
  states: {
    exported: 'exported with the model',
    tapped: 'opened by tap',
    closed: 'can be opened',
    absent: 'not in this model’s file',
  } satisfies Record<Availability, string> as Record<Availability, string>,
  cell: (name: string, state: Availability) =>
    `${name}: ${{ exported: 'exported, open', tapped: 'opened by tap', closed: 'closed, click to open', absent: 'not in this model’s file' }[state]}`,
  wholeColumn: 'Click to open it on every layer, again to close what was opened',
  opened: (time: string) => `The last change took ${time}.`,
  preparing: (time: string, isBeside: boolean) =>
    `The model is being prepared with these activations; it took ${time} the last time. ${isBeside ? 'Until then it answers as before.' : 'It answers again after that.'}`,
  keepOpen: 'Leave it as it is',
  lengths: (kind: string, token: string) =>
    `Length of ${kind} by layer, one column per token. Numbers: ${token}`,
  close: 'Close it',
  waiting: 'Opening…',
  leftOut: 'It is not open: there is not enough memory for it with this text.',
  rotary: ', with rotary positions ',
  elsewhere: 'It has a view of its own: go there.',
};
