// What the page makes of conversations: `{ tokenizer, config, chats }` as JSON on standard input, with the contents of a
// bundle's two files and `{ system, user }`; for each chat the text, its ids, and the parts that are shown as special
// tokens, or what was wrong. tests/python/test_chat_templates.py compares it with transformers.
import { text } from 'node:stream/consumers';
import { withPageModules } from './page_modules.mjs';

/** @typedef {{ tokenizer: string, config: string, chats: { system: string, user: string }[] }} Asked */

await withPageModules(async (load) => {
  const { TextTokenizer } =
    /** @type {typeof import('../../apps/web/src/tokenizer/text_tokenizer')} */ (
      await load('tokenizer/text_tokenizer.ts')
    );
  const { renderChat } = /** @type {typeof import('../../apps/web/src/tokenizer/render_chat')} */ (
    await load('tokenizer/render_chat.ts')
  );
  const { markedChat } =
    /** @type {typeof import('../../apps/web/src/views/prompt/marked_chat')} */ (
      await load('views/prompt/marked_chat.ts')
    );
  /** @type {unknown} */
  const parsed = JSON.parse(await text(process.stdin));
  const { tokenizer, config, chats } = /** @type {Asked} */ (parsed);
  const bytes = (/** @type {string} */ file) => new TextEncoder().encode(file);
  const opened = new TextTokenizer(bytes(tokenizer), bytes(config));
  const { chat } = opened;
  const answers = chats.map((messages) => {
    const template = chat?.templates[0]?.text;
    if (template === undefined) return null;
    const made = renderChat({ template, ...messages, tokens: chat?.tokens ?? {} });
    if (made.kind !== 'text') return made;
    return {
      ...made,
      ids: opened.encode(made.text).map(({ id }) => id),
      special: markedChat(made.text, chat?.special ?? [])
        .filter(({ isSpecial }) => isSpecial)
        .map((part) => part.text),
    };
  });
  process.stdout.write(JSON.stringify(answers));
});
