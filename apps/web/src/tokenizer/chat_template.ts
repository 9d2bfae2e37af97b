// A model's chat templates, as its tokenizer's files give them: Jinja text from strangers, which only render_chat.ts runs.

export interface ChatTemplate {
  readonly name: string;
  readonly text: string;
}

export interface ChatTemplates {
  readonly templates: readonly ChatTemplate[];
  /** Variables that templates may put into their text: `bos_token` and the like, by name. */
  readonly tokens: Readonly<Record<string, string>>;
  /** Texts of the tokens that the tokenizer calls special. */
  readonly special: readonly string[];
}

/** The largest template that the page reads, in characters: known ones have some ten thousand. */
export const LONGEST_TEMPLATE = 2 ** 17;
const MOST_TEMPLATES = 16;
const LONGEST_NAME = 64;
const MOST_SPECIAL = 4096;
const TOKEN_NAMES = [
  ...['bos_token', 'eos_token', 'unk_token', 'sep_token', 'pad_token', 'cls_token', 'mask_token'],
];

/**
 * Return the templates of `tokenizer_config.json`, with the special tokens of `tokenizer.json`; null where there are
 * none, or none that the page reads.
 */
export function chatTemplatesOf(tokenizer: object, config: object): ChatTemplates | null {
  const settings = config as Readonly<Record<string, unknown>>;
  const templates = templatesIn(settings['chat_template'])
    .filter(({ name, text }) => name.length <= LONGEST_NAME && text.length <= LONGEST_TEMPLATE)
    .slice(0, MOST_TEMPLATES);
  if (templates.length === 0) return null;
  const tokens = TOKEN_NAMES.flatMap((name): [string, string][] => {
    const text = tokenText(settings[name]);
    return text === null ? [] : [[name, text]];
  });
  return { templates, tokens: Object.fromEntries(tokens), special: specialIn(tokenizer) };
}

/** One text, or several with names, for tools or for retrieval. */
function templatesIn(said: unknown): ChatTemplate[] {
  if (typeof said === 'string') return [{ name: 'default', text: said }];
  if (!Array.isArray(said)) return [];
  return said.flatMap((entry: unknown) => {
    const { name, template } = entryOf(entry);
    return typeof name === 'string' && typeof template === 'string'
      ? [{ name, text: template }]
      : [];
  });
}

/** A token's text, which stands alone or among its settings. */
function tokenText(said: unknown): string | null {
  const text = typeof said === 'string' ? said : entryOf(said)['content'];
  return typeof text === 'string' ? text : null;
}

function specialIn(tokenizer: object): string[] {
  const added = (tokenizer as Readonly<Record<string, unknown>>)['added_tokens'];
  const found = (Array.isArray(added) ? added : []).flatMap((entry: unknown) => {
    const { content, special } = entryOf(entry);
    return special === true && typeof content === 'string' && content !== '' ? [content] : [];
  });
  return found.slice(0, MOST_SPECIAL);
}

function entryOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
