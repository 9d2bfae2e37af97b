// One whole tour of the built page in each engine that the other browser tests don't use. Not part of `make test`:
// `make test-browsers`, nightly on GitHub.
import { defineConfig } from '@playwright/test';

export default defineConfig({
  testDir: '.',
  outputDir: '../../test-results/browser/tours',
  globalSetup: '../browser/make_bundles.ts',
  workers: 1,
  timeout: 900_000,
  reporter: [['list']],
});
