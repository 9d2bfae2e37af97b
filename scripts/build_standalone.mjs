// Writes the page of one analysis into the Python package: `npm run standalone`. The built site has the same page:
// apps/web/plugins/standalone_page.ts.
import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';

const at = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));
const folder = at('../tools/model-export/oriel/notebook/data/');

// Vite takes any other value for a build to debug.
process.env['NODE_ENV'] = 'production';
/** @type {{ module: { standaloneHtml: () => Promise<string>, notebookLink: () => Promise<string> } }} */
// Vite compiles the plugin, which is TypeScript.
const { module } = await runnerImport(at('../apps/web/plugins/standalone_page.ts'));
await mkdir(folder, { recursive: true });
await writeFile(`${folder}standalone.html`, await module.standaloneHtml());
await writeFile(`${folder}notebook_link.js`, await module.notebookLink());
