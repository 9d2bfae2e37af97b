// Compiles src/embed/oriel_view.ts, the custom element <oriel-view>, into one script that any page may load: a classic
// one, which a host of another origin need not allow.
import { fileURLToPath } from 'node:url';
import { build, type Plugin, type Rolldown } from 'vite';
import { extraFile } from './extra_file.ts';

export const elementName = 'oriel-view.js';

const source = fileURLToPath(new URL('../src/embed/oriel_view.ts', import.meta.url));

export function viewElement(): Plugin {
  return extraFile({ name: elementName, mediaType: 'text/javascript', make: compile });
}

async function compile(): Promise<string> {
  const result = (await build({
    configFile: false,
    logLevel: 'warn',
    publicDir: false,
    build: {
      target: 'es2023',
      write: false,
      modulePreload: false,
      rolldownOptions: { input: source, output: { format: 'iife' } },
    },
  })) as Rolldown.RolldownOutput;
  const [script, ...more] = result.output;
  if (more.length > 0) throw new Error('the element is not one script');
  return script.code;
}
