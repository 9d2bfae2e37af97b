// The addresses that loading.config.ts serves: this page, and the one of an earlier revision beside it.

export const loadingPort = Number(process.env['ORIEL_TEST_PORT'] ?? 5340);
export const beforeUrl = `http://localhost:${loadingPort + 1}/`;
