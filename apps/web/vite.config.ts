// Vite's configuration for serving and building the page. The root's vitest and playwright configs are for tests.
import { fileURLToPath } from 'node:url';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defaultClientConditions, defineConfig, loadEnv } from 'vite';
import { contentSecurityPolicy } from './plugins/content_security_policy.ts';
import { shippedLessons } from './plugins/lessons.ts';
import { manifestValidator } from './plugins/manifest_validator.ts';
import { modelsIndex } from './plugins/models_index.ts';
import { serviceWorker } from './plugins/service_worker.ts';

const webRoot = fileURLToPath(new URL('.', import.meta.url));
const repositoryRoot = fileURLToPath(new URL('../..', import.meta.url));

/** True for serving without cross-origin isolation, as a plain static host does. Threads in wasm need isolation. */
const plainHost = process.env['ORIEL_NO_ISOLATION'] === '1';
const isolation: Record<string, string> = plainHost
  ? {}
  : {
      'Cross-Origin-Opener-Policy': 'same-origin',
      'Cross-Origin-Embedder-Policy': 'require-corp',
    };

/** Return a path on the page's host, with a slash at both ends: a service worker cannot serve another host's files. */
function basePath(given: string): string {
  if (!/^[\w/.~-]*$/.test(given) || given.split('/').some((part) => /^\.+$/.test(part))) {
    throw new Error(`VITE_BASE_PATH is ${JSON.stringify(given)}; expected a path such as /oriel/`);
  }
  return `/${given}/`.replace(/\/+/g, '/');
}

/** Many hosts don't know that a `.mjs` file is a script, and browsers then refuse to run it. */
const output = {
  assetFileNames: ({ names }: { names: readonly string[] }): string =>
    names.some((name) => name.endsWith('.mjs'))
      ? 'assets/[name]-[hash].js'
      : 'assets/[name]-[hash][extname]',
};

export default defineConfig(({ mode }) => ({
  root: webRoot,
  base: basePath(loadEnv(mode, webRoot, 'VITE_')['VITE_BASE_PATH'] ?? '/'),
  publicDir: 'static',
  // Tests run both kinds of server at once, and each prepares its dependencies for itself.
  cacheDir: `${repositoryRoot}node_modules/.vite${plainHost ? '-plain-host' : ''}`,
  plugins: [
    svelte(),
    manifestValidator(),
    shippedLessons(),
    modelsIndex(),
    contentSecurityPolicy(),
    serviceWorker(),
  ],
  worker: {
    format: 'es' as const,
    plugins: () => [manifestValidator()],
    rolldownOptions: { output },
  },
  // The runtime finds its wasm files beside its own module, so it must stay where it is.
  // The others are named because Vite would only discover them later, in a worker, and then reload the page.
  optimizeDeps: {
    exclude: ['onnxruntime-web'],
    include: ['@huggingface/tokenizers', 'hash-wasm'],
  },
  // The build without the inlined loader: the loader starts the threads and must be a file of its own for that.
  resolve: { conditions: ['onnxruntime-web-use-extern-wasm', ...defaultClientConditions] },
  server: {
    headers: isolation,
    fs: { allow: [repositoryRoot] },
    // Compiled when the server starts, so that the first visitor does not wait for it.
    warmup: { clientFiles: ['./src/main.ts', './src/inference/model.worker.ts'] },
  },
  preview: { headers: isolation },
  build: {
    target: 'es2023',
    outDir: 'dist',
    emptyOutDir: true,
    // The page's Content-Security-Policy allows fonts and scripts from files only.
    assetsInlineLimit: 0,
    // One style sheet and plain imports: a view whose file did not come can be requested again as a whole.
    cssCodeSplit: false,
    modulePreload: false,
    rolldownOptions: { output },
  },
}));
