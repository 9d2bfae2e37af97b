// English: a conversation in the model's own template.
import { count } from '../number_format';

export const chat = {
  title: 'Conversation',
  about:
    'This model comes with a chat template: conversations that it was trained on are written that way. The template makes one text of the messages, with special tokens around them, and the model reads on from there.',
  template: 'Template',
  system: 'System message (may stay empty)',
  user: 'User message',
  rendered: 'What the model would read',
  marked:
    'Framed parts are special tokens, one each. The tokenizer puts nothing before this text: the template has put all that belongs there.',
  special: 'special token',
  use: 'Run this text',
  refused: (detail: string) => `The template takes no such conversation: ${detail}`,
  tooLong: (characters: number, limit: number) =>
    `The template made ${count(characters)} characters of it, and this page takes ${count(limit)} at most. Shorten the messages.`,
  tooSlow: (seconds: number) =>
    `The template was stopped after ${count(seconds)} seconds. Write the text yourself in the box above.`,
};
