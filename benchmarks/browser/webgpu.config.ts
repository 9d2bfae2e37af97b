// Runs webgpu.spec.ts alone; benchmarks/webgpu.py starts it.
import { defineConfig } from '@playwright/test';
import tests from '../../playwright.config';

/** Use a software adapter, for machines without a GPU and for trial runs. */
const gpu =
  process.env['ORIEL_BENCHMARK_ADAPTER'] === 'software'
    ? [
        '--use-webgpu-adapter=swiftshader',
        '--enable-unsafe-webgpu',
        '--enable-features=Vulkan,WebGPU',
      ]
    : [
        '--enable-unsafe-webgpu',
        '--enable-features=Vulkan',
        '--use-angle=vulkan',
        '--ignore-gpu-blocklist',
      ];
const port = Number(process.env['ORIEL_TEST_PORT'] ?? 5340);

export default defineConfig({
  testDir: '.',
  testMatch: 'webgpu.spec.ts',
  outputDir: '../../test-results/browser/webgpu',
  workers: 1,
  timeout: 0,
  reporter: [['line']],
  use: {
    ...tests.use,
    launchOptions: {
      ...tests.use?.launchOptions,
      args: [...(tests.use?.launchOptions?.args ?? []), ...gpu],
    },
    baseURL: `http://localhost:${port}/`,
    trace: 'off',
  },
  webServer: {
    command:
      'npx vite build --config vite.config.ts --logLevel error && ' +
      `npx vite preview --config vite.config.ts --port ${port} --strictPort`,
    cwd: import.meta.dirname,
    url: `http://localhost:${port}/`,
    reuseExistingServer: false,
    timeout: 120_000,
  },
});
