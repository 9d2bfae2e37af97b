// Prompts that suit the training text of the bundled model; the dictionaries describe each.
import firstPrompt from '../../../../../contracts/first_prompt.json' with { type: 'json' };
import type { Dictionary } from '../../i18n/dictionary';

export type ExampleKey = keyof Dictionary['prompt']['examples'];

/** The first prompt, also that of the publishers' precomputed examples: see contracts/first_prompt.json. */
export const FIRST_PROMPT = firstPrompt.text;

export const EXAMPLES: readonly { key: ExampleKey; text: string }[] = [
  {
    key: 'manyVerbs',
    text: FIRST_PROMPT,
  },
  {
    key: 'indirectObject',
    text: 'When Mary and John went to the shop, John gave a book to',
  },
  {
    key: 'induction',
    text: 'fox lamp wolf coat river goat fox lamp wolf coat river',
  },
  { key: 'agreement', text: 'The keys on the shelf near the window' },
  { key: 'brackets', text: '( [ { } ] (' },
  { key: 'counting', text: 'three, four, five, six, seven,' },
  { key: 'days', text: 'After Friday comes' },
  { key: 'quotes', text: 'Lucy said, "The kite is red' },
];
