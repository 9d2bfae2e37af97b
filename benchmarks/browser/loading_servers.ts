// The addresses that loading.config.ts serves: this page, and an earlier revision's page.

export const loadingPort = Number(process.env['ORIEL_TEST_PORT'] ?? 5340);
export const beforeUrl = `http://localhost:${loadingPort + 1}/`;
