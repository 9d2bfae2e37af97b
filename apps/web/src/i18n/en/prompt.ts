// English: the text and its tokens.
import { count } from '../number_format';

export const prompt = {
  title: 'Text',
  titleIds: 'Token ids',
  placeholder: 'Type a sentence',
  placeholderIds: 'For example 464 3290 318',
  examplesLabel: 'Example texts',
  tokensLabel: 'Tokens of the text',
  tokensCaption:
    'The model reads tokens, not words. Under each is its id. Click one to follow it through the page.',
  tokenName: (position: number, label: string, id: number) =>
    `${label} ${id}: token ${position} and its id`,
  count: (used: number, limit: number) => `${count(used)} of ${count(limit)} tokens`,
  tooLong: (tokens: number, limit: number) =>
    `${count(tokens)} tokens. The model reads ${count(limit)} at most, so the last ${count(tokens - limit)} are left out below.`,
  farTooLong: (limit: number) =>
    `The model reads ${count(limit)} tokens at most, and this text has far more: the results below are of its beginning.`,
  tokenizerUnsupported: (detail: string) =>
    `This page cannot use this model’s tokenizer (${detail}), so it takes token ids. Make them with the checkpoint’s own tokenizer in transformers.`,
  tokenizerDiffers: (text: string, expected: string, got: string | null) =>
    `This page’s tokenizer makes ${got === null ? 'no tokens' : `the ids ${got}`} of “${text}”, where transformers makes ${expected}. A wrong token would be a wrong number, so the page takes token ids: make them with the checkpoint’s own tokenizer.`,
  undo: 'Undo',
  redo: 'Redo',
  first: (tokens: string) => `${tokens} goes before the text, as this model’s tokenizer puts it.`,
  firstAway: (tokens: string) =>
    `${tokens}, which this model’s tokenizer puts before every text, was taken away.`,
  takeFirst: 'Take it away',
  takeAway: (token: string) => `× Take ${token} away from the front of the text`,
  putFirst: 'Put it back',
  keptIds:
    'These are not the tokens that the tokenizer makes of this text. Their ids are kept, in the link too.',
  idsGivenUp:
    'The ids that were kept do not fit this text and model: its tokens are the tokenizer’s own again.',
  retokenize: 'Tokenize the text anew',
  notInLink: 'The text is too long for a link: the address of this page leaves it out.',
  notIds: (text: string, vocab: number) =>
    `“${text}” is no token id. Type whole numbers from 0 to ${count(vocab - 1)}, with spaces between.`,
  empty:
    'Type something, or choose an example: the model starts as soon as there is a token to read.',
  examples: {
    manyVerbs: {
      name: 'many ways on',
      why: 'Many verbs fit here, so the model spreads its probability over them. Press Generate and see which one it draws.',
    },
    indirectObject: {
      name: 'who gets the book',
      why: 'John gives, so Mary receives. Which heads look at her name?',
    },
    induction: {
      name: 'a list again',
      why: 'The list starts over. An induction head finds what came next the first time.',
    },
    agreement: {
      name: 'one or many',
      why: 'The verb must fit “keys”, though “shelf” and “window” stand nearer.',
    },
    brackets: { name: 'brackets', why: 'The one opened last closes first. Which is it?' },
    counting: { name: 'counting', why: 'Numbers in order: what follows seven?' },
    days: { name: 'days', why: 'The days in their order: what follows Friday?' },
    quotes: { name: 'an open quote', why: 'Something was said and has not been closed yet.' },
  },
};
