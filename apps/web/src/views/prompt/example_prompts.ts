// Prompts that suit what the bundled model was trained on; what each shows is said in the dictionaries.
import type { Dictionary } from '../../i18n/dictionary';

export type ExampleKey = keyof Dictionary['prompt']['examples'];

export const EXAMPLES: readonly { key: ExampleKey; text: string }[] = [
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

export const FIRST_PROMPT = EXAMPLES[0]?.text ?? '';
