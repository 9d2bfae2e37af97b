// Unit and property tests of the page's own code, in Node. Tests in a browser: playwright.config.ts.
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';
import { shippedLessons } from './apps/web/plugins/lessons.ts';
import { manifestValidator } from './apps/web/plugins/manifest_validator.ts';

export default defineConfig({
  plugins: [
    svelte({ configFile: new URL('apps/web/svelte.config.js', import.meta.url).pathname }),
    manifestValidator(),
    shippedLessons(),
  ],
  test: {
    include: ['tests/web/**/*.test.ts'],
    setupFiles: ['tests/web/thorough.ts'],
    // The limit ends a test that hangs. Vitest's own, 5 s, ends property tests that only compute
    // for 2 s where other work takes the processor.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
