// Browser tests, on a Chromium that is already there, against a build of the page; against the development server, too.
import { defineConfig } from '@playwright/test';
import type { EngineOptions } from './tests/browser/engine';
import { findChromium } from './tests/browser/find_chromium';
import { built, firstPort, isolated, plainHost } from './tests/browser/servers';
import { isThorough } from './tests/browser/thorough';

/** Every kind of host has to start the engine; what it computes then does not depend on the host. */
const hostSpecs = 'engine_hosts.spec.ts';
/** Each activation, whole and from the cache, edited and not. */
const paritySpecs = [hostSpecs, 'engine_parity.spec.ts', 'engine_edits.spec.ts'];
/** What is computed by the same operators. */
const analysisSpecs = [
  'engine_static.spec.ts',
  'engine_lenses.spec.ts',
  'engine_batches.spec.ts',
  'engine_sweeps.spec.ts',
  'engine_attribution.spec.ts',
];
/** Each precision's kernels, and a GPU that is lost or lacks what a model needs. */
const gpuSpecs = [
  'engine_variants.spec.ts',
  'engine_failures.spec.ts',
  'engine_gpu_device.spec.ts',
  'ui_webgpu*.spec.ts',
];
const furtherGpuSpecs = [
  ...analysisSpecs,
  'engine_edited_variants.spec.ts',
  'engine_earlier.spec.ts',
];
const onEveryHost = isThorough ? [...paritySpecs, ...analysisSpecs] : [hostSpecs];
/** Makes what the tests open, unless what it is made from is unchanged since. */
const python = process.env['ORIEL_PYTHON'] ?? '.venv/bin/python';
/** They serve builds of the page themselves. */
const siteSpecs = 'site_*.spec.ts';
/** Models come from servers that tests start on ports of their own. */
const modelOrigins = { VITE_MODEL_ORIGINS: 'http://localhost:*,http://127.0.0.1:*' };
const isCi = process.env['CI'] !== undefined;
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
    // The optimizing compiler of WebAssembly takes a tenth of a test's time, for code that runs a moment.
    ...(isThorough ? [] : ['--js-flags=--liftoff-only']),
  ],
};

export default defineConfig<EngineOptions>({
  testDir: 'tests/browser',
  outputDir: 'test-results/browser/runs',
  // Much of a test's time is waiting, for a limit that must pass or for the slowest of several threads.
  workers: 2,
  // Generous limits cost nothing where all is well: another worker, and on CI another part of the tests, take their share.
  timeout: 240_000,
  expect: { timeout: 30_000 },
  // On a machine that others load, too; what passes the second time alone is told as flaky, with its error.
  retries: isCi ? 1 : 0,
  reporter: [['list']],
  // A recording takes a fifth of the processor's time, so only a second try has one; `--trace on` records any run.
  use: { launchOptions: chromium, trace: 'on-first-retry' },
  projects: [
    { name: 'isolated', testIgnore: siteSpecs, use: { baseURL: isolated } },
    {
      name: 'plain-host',
      testMatch: [...onEveryHost, 'ui_plain_host*.spec.ts'],
      use: { baseURL: plainHost, isolated: false },
    },
    {
      name: 'built',
      testMatch: [...onEveryHost, 'engine_catalogue.spec.ts'],
      use: { baseURL: built },
    },
    { name: 'site-build', testMatch: 'site_build.setup.ts' },
    { name: 'site', testMatch: siteSpecs, dependencies: ['site-build'] },
    {
      name: 'webgpu',
      // A GPU in software, on whatever cores there are.
      timeout: 480_000,
      testMatch: [...paritySpecs, ...gpuSpecs, ...(isThorough ? furtherGpuSpecs : [])],
      ...(isThorough ? {} : { grepInvert: /@any-device/ }),
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
      command:
        `${python} scripts/browser_bundles.py && ` +
        'npx vite build --config tests/browser/page_build.config.ts --logLevel error && ' +
        `npx vite preview --config tests/browser/page_build.config.ts --port ${firstPort} --strictPort`,
      url: `${isolated}engine_test.html`,
      env: modelOrigins,
      reuseExistingServer: false,
      // The bundles may have to be exported first.
      timeout: 1_200_000,
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
