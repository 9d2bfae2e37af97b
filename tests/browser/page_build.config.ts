// A production build of the page and of the engine's test page, for most browser tests: it opens in half the
// processor time that the development server's page takes.
import { fileURLToPath } from 'node:url';
import { defineConfig, mergeConfig } from 'vite';
import page from '../../apps/web/vite.config.ts';

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** The names of files say what they are, as on the development server, for tests that hold one back. */
const output = {
  entryFileNames: 'assets/[name].js',
  chunkFileNames: 'assets/[name].js',
  assetFileNames: 'assets/[name][extname]',
};

export default defineConfig((environment) =>
  mergeConfig(page(environment), {
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
