// Runs browser_speed.spec.ts and expand_speed.spec.ts, on the isolated development server of the browser tests.
import { defineConfig } from '@playwright/test';
import tests from '../playwright.config';

const [isolatedServer] = Array.isArray(tests.webServer) ? tests.webServer : [];
const [isolated] = tests.projects ?? [];

export default defineConfig({
  testDir: '.',
  testMatch: ['browser_speed.spec.ts', 'expand_speed.spec.ts'],
  outputDir: '../test-results/browser/speed',
  workers: 1,
  timeout: 600_000,
  reporter: [['line']],
  use: { ...tests.use, ...isolated?.use, trace: 'off' },
  ...(isolatedServer && { webServer: { ...isolatedServer, cwd: '..' } }),
});
