// English: the glossary. Its terms are in views/glossary/terms.json, both languages side by side.
export const glossary = {
  title: 'Words explained',
  caption:
    'Every term that this page uses: a sentence, its formula, and the name of its numbers in files.',
  find: 'Find a term',
  none: (text: string) => `No term matches “${text}”.`,
  formula: 'Formula',
  contract: 'Name in files and scripts',
  explain: (term: string) => `What is “${term}”?`,
  mark: '?',
  ofView: 'What do the words of this view mean?',
  close: 'Close',
  all: 'All terms',
};
