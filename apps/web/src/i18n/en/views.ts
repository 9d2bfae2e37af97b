// English: what holds for every view.
export const views = {
  notLoaded: (title: string) =>
    `“${title}” is missing here: its part of the page could not be loaded. Check the connection and try again; if the page was updated meanwhile, reload it.`,
  reload: 'Reload the page',
  list: 'Views',
  questions: {
    next: 'What does the model expect?',
    attention: 'Where does each token look?',
    lens: 'What would each layer say?',
    attribution: 'Which part caused this token?',
    neurons: 'Which neurons fire here, and what do they write?',
    interventions: 'What if a part were changed?',
    activations: 'What numbers flow inside?',
    compare: 'What does compression change?',
    facts: 'What runs here, and is it right?',
  },
  fold: (title: string) => `Fold “${title}”`,
  unfold: (title: string) => `Unfold “${title}”`,
  alone: (title: string) => `Only this: ${title}`,
  onlyOne: 'Only this',
  all: 'All views',
};
