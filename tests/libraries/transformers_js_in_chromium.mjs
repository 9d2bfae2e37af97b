// Generate with transformers.js in Chromium. Reads the request of test_libraries.py on standard
// input and prints the texts for each dtype, or its error. Arguments: the folder that it is
// installed in, and the browser's program.
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { chromium } from '@playwright/test';

const [home, executablePath] = process.argv.slice(2);
const asked = JSON.parse(readFileSync(0, 'utf8'));
const modules = '/library/node_modules/';
const page = `<!doctype html><script type="importmap">${JSON.stringify({
  imports: {
    'onnxruntime-web/webgpu': `${modules}onnxruntime-web/dist/ort.webgpu.bundle.min.mjs`,
    'onnxruntime-common': `${modules}onnxruntime-common/dist/esm/index.js`,
    '@huggingface/jinja': `${modules}@huggingface/jinja/dist/index.js`,
    '@huggingface/tokenizers': `${modules}@huggingface/tokenizers/dist/tokenizers.mjs`,
  },
})}</script><script type="module">
import { env, pipeline } from '${modules}@huggingface/transformers/dist/transformers.web.js';
env.allowRemoteModels = false;
env.allowLocalModels = true;
env.localModelPath = '/';
env.useBrowserCache = false;
env.backends.onnx.wasm.wasmPaths = '${modules}onnxruntime-web/dist/';
window.generate = async (dtype, texts, settings) => {
  const generator = await pipeline('text-generation', 'model', { dtype, device: 'wasm' });
  const made = await generator(texts, settings);
  return made.map(([{ generated_text }]) => generated_text);
};
</script>`;
const types = { '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm' };
const roots = { library: home, model: asked.folder };

const server = createServer((request, response) => {
  const [, root, ...path] = normalize(
    decodeURIComponent(new URL(request.url, 'http://x').pathname),
  ).split('/');
  if (root === '') return void response.setHeader('content-type', 'text/html').end(page);
  const file = join(roots[root] ?? '/nowhere', ...path);
  const found = statSync(file, { throwIfNoEntry: false });
  if (!found?.isFile()) return void response.writeHead(404).end();
  response.writeHead(200, {
    'content-type': types[extname(file)] ?? 'application/octet-stream',
    'content-length': found.size,
  });
  return void createReadStream(file).pipe(response);
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const sandbox = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
const browser = await chromium.launch({ executablePath, args: sandbox });
const results = {};
try {
  for (const dtype of asked.dtypes) {
    // A page for each: once a session has failed, transformers.js fails for ever.
    const tab = await browser.newPage();
    await tab.goto(`http://127.0.0.1:${server.address().port}/`);
    await tab.waitForFunction('window.generate', undefined, { timeout: 120_000 });
    const settings = { max_new_tokens: asked.new_tokens, ...asked.how };
    results[dtype] = await tab.evaluate(
      ([dtype, texts, settings]) => window.generate(dtype, texts, settings).catch(String),
      [dtype, asked.texts, settings],
    );
    await tab.close();
  }
} finally {
  await browser.close();
  server.close();
}
process.stdout.write(JSON.stringify(results));
