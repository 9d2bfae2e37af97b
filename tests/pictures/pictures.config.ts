// Makes the pictures of docs/: `make pictures`. Not part of `make test`.
import { defineConfig } from '@playwright/test';
import { findChromium } from '../browser/find_chromium';

export default defineConfig({
  testDir: '.',
  outputDir: '../../test-results/browser/pictures/runs',
  globalSetup: '../browser/make_bundles.ts',
  workers: 1,
  timeout: 900_000,
  reporter: [['list']],
  use: {
    launchOptions: {
      executablePath: findChromium(),
      args: process.getuid?.() === 0 ? ['--no-sandbox'] : [],
    },
  },
});
