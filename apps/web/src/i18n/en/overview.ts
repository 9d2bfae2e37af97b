// English: the overview of heads.
import { count } from '../number_format';

export const overview = {
  title: 'Heads',
  caption: (theme: 'light' | 'dark') =>
    `Each small map is one attention head on your text: each row is a token looking back, and ${theme === 'light' ? 'darker' : 'brighter'} means it attends more. The label says what the head mostly does, by its measured scores. Press a head to see it in all views.`,
  role: 'What a head does',
  threshold: 'Counts from',
  whichHeads: 'Heads that do it, as layer.head',
  thresholdOf: (role: string) => `Threshold of “${role}”`,
  onlyRole: (role: string) => `Show only heads that do it: ${role}`,
  nats: 'nat',
  andMore: (more: number) => `and ${count(more)} more`,
  noneReaches: 'None; the nearest is',
  noRepeats: 'No token comes twice in this text.',
  roles: {
    previous_token: {
      name: 'Previous token',
      short: 'prev.',
      mark: 'P',
      meaning: 'Looks at the token just before. Score: mean attention to it.',
    },
    first_token: {
      name: 'First token',
      short: 'first',
      mark: 'F',
      meaning:
        'Rests on the first token, often when it finds nothing. Score: mean attention to it.',
    },
    duplicate_token: {
      name: 'Same token earlier',
      short: 'same',
      mark: 'S',
      meaning:
        'Looks for earlier places of the same token or name. Score: mean attention to them, over tokens that came before.',
    },
    induction: {
      name: 'Induction',
      short: 'ind.',
      mark: 'I',
      meaning:
        'Looks at what followed the same token earlier, to repeat it. Score: mean attention to that, over tokens that came before.',
    },
    entropy: {
      name: 'Focused',
      short: 'focus',
      mark: '•',
      meaning:
        'Looks at few tokens. Score: mean entropy of its rows, −Σ p ln p; 0 is a single token, and lower counts.',
    },
  },
  measuredOn: 'Scores measured on',
  repeats: 'random tokens, twice',
  text: 'your text',
  onRepeats: (tokens: number, seed: number) =>
    `Measured on ${count(tokens)} random tokens and the same again (seed ${seed}), without edits: what a head does there does not come from knowing the language.`,
  ofRepeats: (tokens: number, seed: number) =>
    `scores on ${count(tokens)} random tokens, twice (seed ${seed})`,
  onText: (tokens: number) =>
    `Measured on your text of ${count(tokens)} tokens. A short text is weak evidence: few tokens, and a head may look there for another reason.`,
  notMeasured: 'Not measured yet.',
  measuring: 'Measuring…',
  measure: 'Measure on random tokens, twice',
  measureCost: (session: string) =>
    `This runs one more text, for which the model may have to be prepared again (${session} last time).`,
  seed: 'Seed',
  sort: 'Order',
  byModel: 'as in the model',
  by: (role: string) => `by “${role}”`,
  only: 'Only these heads',
  onlyHint: 'For example 0-3, 5.2: layers 0 to 3, and head 2 of layer 5. Empty for all.',
  unread: (got: string, layers: number, heads: number) =>
    `Got “${got}”; expected layers 0 to ${layers - 1}, as 2 or 0-3, or heads as 5.2, with heads 0 to ${heads - 1}.`,
  shownOf: (shown: number, all: number) => `${count(shown)} of ${count(all)} heads`,
  showAll: 'Show all',
  nothing: 'No head has this role at these thresholds.',
  closed: (layers: number, session: string, size: string) =>
    `${layers === 1 ? 'One layer is' : `${layers} layers are`} not open. Opening ${layers === 1 ? 'it' : 'them'} prepares the model again (${session} last time) and takes ${size} for this text.`,
  openLayers: 'Open all layers',
  opening: 'Computing the maps of all layers…',
  retry: 'Try again',
  closedMap: 'closed',
  gridLabel: 'All attention heads',
  legend: 'Attention',
  reading: (head: string, scores: readonly string[], where: string) =>
    `${head}: ${scores.join(', ')} (${where})`,
  readingHint: 'Point at a head, or move there with the arrow keys, to read its exact scores.',
  score: (role: string, value: string) => `${role} ${value}`,
  pictureTitle: (model: string) => `${model} · attention heads`,
  pictureScores: 'Labels by',
};
