// Browser tests, on a Chromium that is already there, against the real development server.
import { defineConfig } from '@playwright/test';
import type { EngineOptions } from './tests/browser/engine';
import { findChromium } from './tests/browser/find_chromium';

const firstPort = Number(process.env['ORIEL_TEST_PORT'] ?? 5310);
const isolated = `http://localhost:${firstPort}/`;
const plainHost = `http://localhost:${firstPort + 1}/`;
const built = `http://localhost:${firstPort + 2}/some/where/`;

const engineSpecs = 'engine_parity.spec.ts';
const variantSpecs = ['engine_variants.spec.ts', 'engine_failures.spec.ts'];
/** They build the page and serve it themselves. */
const siteSpecs = 'site_*.spec.ts';
const builtSpecs = [engineSpecs, 'engine_catalogue.spec.ts'];
/** Models come from servers that tests start on ports of their own. */
const modelOrigins = { VITE_MODEL_ORIGINS: 'http://localhost:*,http://127.0.0.1:*' };
const chromium = {
  executablePath: findChromium(),
  // Chromium's own sandbox does not start as root, as in most containers.
  args: [
    ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
};

export default defineConfig<EngineOptions>({
  testDir: 'tests/browser',
  outputDir: 'test-results/browser/runs',
  globalSetup: './tests/browser/make_bundles.ts',
  // Each page has threads of its own; more pages at once only take them from each other.
  workers: 1,
  timeout: 120_000,
  // On a machine that others load, too; what passes the second time alone is told as flaky, with its error.
  retries: process.env['CI'] === undefined ? 0 : 1,
  reporter: [['list']],
  use: { launchOptions: chromium, trace: 'retain-on-failure' },
  projects: [
    { name: 'isolated', testIgnore: siteSpecs, use: { baseURL: isolated } },
    {
      name: 'plain-host',
      testMatch: [engineSpecs, 'ui_plain_host*.spec.ts'],
      use: { baseURL: plainHost, isolated: false },
    },
    { name: 'built', testMatch: builtSpecs, use: { baseURL: built } },
    { name: 'site', testMatch: siteSpecs },
    {
      name: 'webgpu',
      // A GPU in software, on whatever cores there are.
      timeout: 300_000,
      testMatch: [engineSpecs, ...variantSpecs, 'ui_webgpu*.spec.ts'],
      use: {
        baseURL: isolated,
        provider: 'webgpu',
        tolerance: 1e-3,
        launchOptions: {
          ...chromium,
          args: [
            ...chromium.args,
            '--enable-unsafe-webgpu',
            '--use-webgpu-adapter=swiftshader',
            '--enable-features=Vulkan,WebGPU',
          ],
        },
      },
    },
  ],
  webServer: [
    {
      command: `npx vite apps/web --port ${firstPort} --strictPort`,
      url: `${isolated}engine_test.html`,
      env: modelOrigins,
      reuseExistingServer: false,
    },
    {
      command: `npx vite apps/web --port ${firstPort + 1} --strictPort`,
      url: `${plainHost}engine_test.html`,
      env: { ...modelOrigins, ORIEL_NO_ISOLATION: '1' },
      reuseExistingServer: false,
    },
    {
      command:
        'npx vite build --config tests/browser/engine_build.config.ts && ' +
        `npx vite preview --config tests/browser/engine_build.config.ts --port ${firstPort + 2} --strictPort`,
      url: `${built}engine_test.html`,
      env: { ...modelOrigins, VITE_BASE_PATH: '/some/where/' },
      reuseExistingServer: false,
      timeout: 120_000,
    },
  ],
});
