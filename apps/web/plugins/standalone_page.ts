// Compiles src/standalone/ into standalone.html: one file, without addresses of others, that draws the analysis inside it
// (src/saved_page/page_file.ts puts one there). The built site has it beside its page, the development server makes it
// when it is asked for, and scripts/build_standalone.mjs writes it for the Python package.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { build, type Plugin, type Rolldown } from 'vite';
import { RECORD_ELEMENT } from '../src/saved_page/record.ts';
import { extraFile } from './extra_file.ts';

export const standaloneName = 'standalone.html';

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const source = at('../src/standalone/main.ts');
const registry = at('../src/views/registry.ts');
const linkSource = at('../src/notebook/notebook_link.ts');

export function standalonePage(): Plugin {
  return extraFile({ name: standaloneName, mediaType: 'text/html', make: standaloneHtml });
}

/** Compile the page and return it as one HTML file, without an analysis. */
export async function standaloneHtml(): Promise<string> {
  const { script, style } = await compile();
  // Neither may end its element.
  const safeScript = script.replaceAll('</script', '<\\/script').replaceAll('<!--', '<\\!--');
  if (style.includes('</style')) throw new Error('the styles of the standalone page end early');
  const policy = [
    "default-src 'none'",
    `script-src '${digestOf(safeScript)}'`,
    `style-src '${digestOf(style)}'`,
    // A picture is exported as a PNG through a data: URL.
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
    'trusted-types svelte-trusted-html',
  ].join('; ');
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta name="oriel-views" content="${(await viewNames()).join(' ')}">
<title>Oriel</title>
<style>${style}</style>
</head>
<body>
<div id="app"><noscript>This page draws its numbers with a script, and scripts are off here. 本页用脚本绘制其中的数值，而这里停用了脚本。</noscript></div>
<script type="application/json" id="${RECORD_ELEMENT}"></script>
<script type="module">${safeScript}</script>
</body>
</html>
`;
  return html;
}

/** Compile the script that joins a notebook's pages to Python, as a module. */
export async function notebookLink(): Promise<string> {
  const result = (await build({
    configFile: false,
    logLevel: 'warn',
    publicDir: false,
    build: {
      target: 'es2023',
      write: false,
      modulePreload: false,
      // An entry keeps what it exports, which the notebook calls.
      lib: { entry: linkSource, formats: ['es'] },
    },
  })) as Rolldown.RolldownOutput[];
  const [script, ...more] = result.flatMap(({ output }) => output);
  if (script?.type !== 'chunk' || more.length > 0) throw new Error('the link is not one script');
  return script.code;
}

/** List the views that can be drawn without a model, by the rows of the registry. */
async function viewNames(): Promise<string[]> {
  const rows = (await readFile(registry, 'utf8')).matchAll(
    /\bid: '([a-z]+)'[^]*?\bsuits: (null\b)?/g,
  );
  const names = Array.from(rows).flatMap(([, id = '', without]) => (without ? [id] : []));
  if (names.length === 0) throw new Error('the registry has no view without a model');
  return names;
}

function digestOf(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}

async function compile(): Promise<{ script: string; style: string }> {
  const result = (await build({
    configFile: false,
    root: at('..'),
    logLevel: 'warn',
    publicDir: false,
    plugins: [
      svelte({ configFile: at('../svelte.config.js') }),
      withoutValidator(),
      withoutFonts(),
    ],
    build: {
      target: 'es2023',
      write: false,
      modulePreload: false,
      cssCodeSplit: false,
      rolldownOptions: {
        input: source,
        output: { format: 'es', codeSplitting: false },
      },
    },
  })) as Rolldown.RolldownOutput;
  const scripts = result.output.filter((file) => file.type === 'chunk');
  const styles = result.output.filter((file) => file.type === 'asset');
  const [script] = scripts;
  const [style] = styles;
  const names = result.output.map(({ fileName }) => fileName).join(', ');
  if (script === undefined || style === undefined || result.output.length !== 2)
    throw new Error(`the standalone page is not one script and one style sheet: ${names}`);
  return { script: script.code.trim(), style: String(style.source).trim() };
}

/** Leave out the code that checks manifests, which is larger than all views: a saved page opens none. */
function withoutValidator(): Plugin {
  const name = 'virtual:oriel/manifest-validator';
  return {
    name: 'oriel:without-validator',
    resolveId: (id) => (id === name ? `\0${name}` : null),
    load: (id) =>
      id === `\0${name}`
        ? `const none = () => { throw new Error('a saved page opens no model'); };
           export { none as validateManifest, none as validateActivations };
           export { none as validateModelRecord, none as validatePath };`
        : null,
  };
}

/** Take the fonts out of the styles: they would be half of the file, and the system's own stand in. */
function withoutFonts(): Plugin {
  return {
    name: 'oriel:without-fonts',
    enforce: 'pre',
    transform(code, id) {
      return id.endsWith('.css') ? code.replaceAll(/@font-face\s*\{[^}]*\}/g, '') : null;
    },
  };
}
