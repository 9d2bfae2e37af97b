// Runs a chat template, as transformers' apply_chat_template does. It may loop for ever: render_apart.ts runs it where
// it can be ended.
import { Template } from '@huggingface/jinja';

/** The values that are put into a template. */
export interface Chat {
  readonly template: string;
  /** Empty for none. */
  readonly system: string;
  readonly user: string;
  /** `bos_token` and the like, by name. */
  readonly tokens: Readonly<Record<string, string>>;
}

export type RenderedChat =
  | { readonly kind: 'text'; readonly text: string }
  /** In the words of the template or its reader. */
  | { readonly kind: 'refused'; readonly detail: string }
  | { readonly kind: 'too-long'; readonly characters: number; readonly limit: number }
  | { readonly kind: 'too-slow'; readonly ms: number };

/** The longest text that a template may make, in characters. */
export const LONGEST_CHAT = 200_000;

/** The longest list that a template may count: a worker can be ended for its time and not for its memory. */
const LONGEST_RANGE = 100_000;

/** Return whole numbers as Python's `range` does. Throws a RangeError for more than LONGEST_RANGE. */
function boundedRange(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  const count = Math.max(0, Math.ceil((stop - start) / step));
  if (!(count <= LONGEST_RANGE)) throw new RangeError(`range of ${count} numbers`);
  return Array.from({ length: count }, (_, at) => start + at * step);
}

/** The library lets no variable take a global's place, and a template's own line may. Its line break goes with it. */
const BOUNDED = '{% set range = bounded_range %}\n';

/** Return the text of a conversation up to where the model answers. */
export function renderChat({ template, system, user, tokens }: Chat): RenderedChat {
  const messages = [
    ...(system === '' ? [] : [{ role: 'system', content: system }]),
    { role: 'user', content: user },
  ];
  try {
    const text = new Template(BOUNDED + template).render({
      ...tokens,
      ...{
        bounded_range: boundedRange,
        messages,
        tools: null,
        documents: null,
        add_generation_prompt: true,
      },
    });
    return text.length > LONGEST_CHAT
      ? { kind: 'too-long', characters: text.length, limit: LONGEST_CHAT }
      : { kind: 'text', text };
  } catch (error) {
    return { kind: 'refused', detail: error instanceof Error ? error.message : String(error) };
  }
}
