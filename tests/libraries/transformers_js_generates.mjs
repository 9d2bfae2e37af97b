// Generate with transformers.js in Node. Reads the request of test_libraries.py on standard input
// and prints the tokens after each prompt; the first argument is the folder that it is installed in.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';

const [home] = process.argv.slice(2);
const main = join(home, 'node_modules/@huggingface/transformers/dist/transformers.node.mjs');
const { AutoModelForCausalLM, Tensor, env, pipeline } = await import(pathToFileURL(main).href);
const asked = JSON.parse(readFileSync(0, 'utf8'));
env.allowRemoteModels = false;
env.localModelPath = join(asked.folder, '..');
const name = asked.folder.split('/').at(-1);
if (asked.texts) {
  const generator = await pipeline('text-generation', name, { dtype: asked.dtype });
  const made = await generator(asked.texts, { max_new_tokens: asked.new_tokens, ...asked.how });
  process.stdout.write(JSON.stringify(made.map(([{ generated_text }]) => generated_text)));
} else {
  const model = await AutoModelForCausalLM.from_pretrained(name, { dtype: asked.dtype });
  const longest = Math.max(...asked.prompts.map((prompt) => prompt.length));
  const rows = (pad, of) =>
    asked.prompts.flatMap((prompt) => [
      ...Array(longest - prompt.length).fill(pad),
      ...prompt.map(of),
    ]);
  const tensor = (values) =>
    new Tensor('int64', BigInt64Array.from(values, BigInt), [asked.prompts.length, longest]);
  const made = await model.generate({
    input_ids: tensor(rows(asked.pad, (id) => id)),
    attention_mask: tensor(rows(0, () => 1)),
    max_new_tokens: asked.new_tokens,
    pad_token_id: asked.pad,
    ...asked.how,
  });
  process.stdout.write(JSON.stringify(made.tolist().map((row) => row.slice(longest).map(Number))));
}
