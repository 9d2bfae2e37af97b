// Runs one benchmark of the page, the file that ORIEL_BENCHMARK names, on a build of the page.
import { defineConfig } from '@playwright/test';
import tests from '../../playwright.config';

const [builtPage] = Array.isArray(tests.webServer) ? tests.webServer : [];
const [isolated] = tests.projects ?? [];

export default defineConfig({
  testDir: '.',
  testMatch: process.env['ORIEL_BENCHMARK'] ?? 'views.spec.ts',
  outputDir: '../../test-results/browser/benchmark',
  workers: 1,
  timeout: 0,
  reporter: [['line']],
  use: { ...tests.use, ...isolated?.use, trace: 'off' },
  ...(builtPage && { webServer: { ...builtPage, cwd: '../..' } }),
});
