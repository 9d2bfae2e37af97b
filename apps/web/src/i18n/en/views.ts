// English: what holds for every view.
export const views = {
  notLoaded: (title: string) =>
    `“${title}” is missing here: its part of the page could not be loaded. Check the connection and try again; if the page was updated meanwhile, reload it.`,
  reload: 'Reload the page',
  list: 'Views',
  rail: 'Text and prediction',
  questions: {
    next: 'What does the model expect?',
    overview: 'Which heads do what?',
    attention: 'Where does each token look?',
    lens: 'What would each layer say?',
    attribution: 'Which part caused this token?',
    neurons: 'Which neurons fire here, and what do they write?',
    features: 'Which features of a dictionary fire here, and what do they do?',
    units: 'What does this neuron do, over a whole corpus?',
    steps: 'How sure was it of each token, and what else was likely?',
    paths: 'How would the text most likely go on?',
    interventions: 'What if a part were changed?',
    activations: 'What numbers flow inside?',
    compare: 'What changes between two runs?',
    facts: 'What runs here, and is it right?',
  },
  fold: (title: string) => `Fold “${title}”`,
  unfold: (title: string) => `Unfold “${title}”`,
  alone: (title: string) => `Only this: ${title}`,
  onlyOne: 'Only this',
  all: 'All views',
};
