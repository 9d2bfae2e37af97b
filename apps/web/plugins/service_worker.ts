// Compiles src/host/service_worker.ts into the output folder after a build, and passes it the list of built files.
import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin, type ResolvedConfig } from 'vite';
import { allowedOrigins } from '../src/bundle/address/allowed_origins.ts';
import { isRuntimeFile } from '../src/host/kept_files.ts';
import { policyFor } from './content_security_policy.ts';
import { standaloneName } from './standalone_page.ts';
import { elementName } from './view_element.ts';

const source = fileURLToPath(new URL('../src/host/service_worker.ts', import.meta.url));
const written = 'service_worker.js';

export function serviceWorker(): Plugin {
  let config: ResolvedConfig;
  return {
    name: 'oriel:service-worker',
    apply: 'build',
    configResolved(resolved) {
      config = resolved;
    },
    closeBundle: {
      order: 'post',
      sequential: true,
      async handler(error?: Error) {
        if (error !== undefined || config.isWorker) return;
        const folder = resolve(config.root, config.build.outDir);
        const deploy = await describe(folder, config.env);
        await writeFile(join(folder, written), await compile(deploy));
      },
    },
  };
}

interface Deploy {
  version: string;
  shell: string[];
  runtime: string[];
  policy: string;
}

async function describe(folder: string, environment: Record<string, string>): Promise<Deploy> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = names
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .map((path) => path.split(sep).join('/'))
    .filter((path) => !path.startsWith('models/') && path !== written)
    // Fetched when somebody saves a page, and by pages of others: no visitor should wait for them.
    .filter((path) => path !== standaloneName && path !== elementName)
    .sort();
  const digest = createHash('sha256');
  for (const path of files) {
    digest.update(path);
    // Names in assets/ contain digests of the files.
    if (!path.startsWith('assets/')) digest.update(await readFile(join(folder, path)));
  }
  return {
    version: digest.digest('hex').slice(0, 16),
    // The page itself is requested by the base path, without `index.html`.
    shell: files.filter((path) => !isRuntimeFile(path) && path !== 'index.html'),
    runtime: files.filter(isRuntimeFile),
    policy: policyFor(
      allowedOrigins(environment['VITE_MODEL_URL'], environment['VITE_MODEL_ORIGINS']),
    ),
  };
}

async function compile(deploy: Deploy): Promise<string> {
  const result = await build({
    configFile: false,
    logLevel: 'warn',
    publicDir: false,
    define: { ORIEL_DEPLOY: JSON.stringify(deploy) },
    build: {
      target: 'es2023',
      write: false,
      modulePreload: false,
      rolldownOptions: { input: source, output: { format: 'iife' } },
    },
  });
  if (!('output' in result)) throw new Error('the service worker was not compiled');
  const [file, ...others] = result.output;
  if (others.length > 0) throw new Error('the service worker is not one file');
  return file.code;
}
