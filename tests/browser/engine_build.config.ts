// A production build of the engine's test page alone, below a path of its own, as a static host serves it.
import { fileURLToPath } from 'node:url';
import { defineConfig, mergeConfig } from 'vite';
import page from '../../apps/web/vite.config.ts';

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

export default defineConfig((environment) =>
  mergeConfig(page(environment), {
    build: {
      outDir: at('test-results/browser/engine_build'),
      rolldownOptions: { input: at('apps/web/engine_test.html') },
    },
  }),
);
