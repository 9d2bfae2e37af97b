// Prompts that suit what the bundled model was trained on; what each shows is said in the dictionaries.
export type ExampleKey =
  'indirectObject' | 'induction' | 'agreement' | 'brackets' | 'counting' | 'days' | 'quotes';

export const EXAMPLES: readonly { key: ExampleKey; text: string }[] = [
  {
    key: 'indirectObject',
    text: 'When Mary and John went to the shop, John gave a book to',
  },
  {
    key: 'induction',
    text: 'lamp fox seven river coat moon lamp fox seven river coat',
  },
  { key: 'agreement', text: 'The keys on the shelf near the window' },
  { key: 'brackets', text: '( [ { } ] ( < >' },
  { key: 'counting', text: 'three, four, five, six, seven,' },
  { key: 'days', text: 'The day after Tuesday is Wednesday. The day after Friday is' },
  { key: 'quotes', text: 'Lucy said, "The kite is red' },
];

export const FIRST_PROMPT = EXAMPLES[0]?.text ?? '';
