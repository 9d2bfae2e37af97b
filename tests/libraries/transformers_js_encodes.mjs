// Run encoders with transformers.js in Node. Reads the list of test_library_encoders.py on standard
// input and prints, for each, the ids and the outputs; the first argument is the folder that the
// library is installed in.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';

const [home] = process.argv.slice(2);
const main = join(home, 'node_modules/@huggingface/transformers/dist/transformers.node.mjs');
const library = await import(pathToFileURL(main).href);
library.env.allowRemoteModels = false;

async function run(asked) {
  library.env.localModelPath = join(asked.folder, '..');
  const name = asked.folder.split('/').at(-1);
  const kind = asked.task === 'FeatureExtraction' ? 'AutoModel' : `AutoModelFor${asked.task}`;
  const tokenizer = await library.AutoTokenizer.from_pretrained(name);
  // Nothing but the name, as a user says it, where no precision is asked for.
  const model = await library[kind].from_pretrained(
    name,
    asked.dtype ? { dtype: asked.dtype } : {},
  );
  const pairs = asked.pairs ? { text_pair: asked.pairs } : {};
  const fed = await tokenizer(asked.texts, { padding: true, ...pairs });
  const made = await model(fed);
  const values = asked.outputs.map((output) => [output, made[output].tolist()]);
  const ids = fed.input_ids.tolist().map((row) => row.map(Number));
  return { input_ids: ids, ...Object.fromEntries(values) };
}

const done = [];
for (const asked of JSON.parse(readFileSync(0, 'utf8'))) done.push(await run(asked));
process.stdout.write(JSON.stringify(done));
