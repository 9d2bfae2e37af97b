// A production build of the page and of the engine's test page, for most browser tests: it opens in half the
// processor time that the development server's page takes.
import { fileURLToPath } from 'node:url';
import { defineConfig, mergeConfig, type Plugin } from 'vite';
import page from '../../apps/web/vite.config.ts';

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** The names of files say what they are, as on the development server, for tests that hold one back. */
const output = {
  entryFileNames: 'assets/[name].js',
  chunkFileNames: 'assets/[name].js',
  assetFileNames: 'assets/[name][extname]',
};

/**
 * Lets a test say how long the page must be idle before it compares the device with PyTorch's numbers. That takes a second
 * runtime and session, a sixth of the work of a test that isn't about it (shared_context.ts).
 */
const quietBeforeProof: Plugin = {
  name: 'quiet-before-proof',
  enforce: 'pre',
  transform: {
    filter: { id: /session\/device_proof\.svelte\.ts$/ },
    handler(code) {
      const set = code.replace(/(const QUIET_MS = )(\d+)/, '$1globalThis.quietBeforeProof ?? $2');
      if (set === code) throw new Error('device_proof.svelte.ts has no QUIET_MS to replace');
      return { code: set, map: null };
    },
  },
};

export default defineConfig((environment) =>
  mergeConfig(page(environment), {
    plugins: [quietBeforeProof],
    build: {
      outDir: at('test-results/browser/page_build'),
      rolldownOptions: {
        input: [at('apps/web/index.html'), at('apps/web/engine_test.html')],
        output,
      },
    },
    worker: { rolldownOptions: { output } },
  }),
);
