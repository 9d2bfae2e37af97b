// The addresses of the servers that playwright.config.ts starts.

export const firstPort = Number(process.env['ORIEL_TEST_PORT'] ?? 5310);

/** The page and the engine's test page, built, cross-origin isolated. */
export const isolated = `http://localhost:${firstPort}/`;
/** The development server as a plain static host is, without isolation. */
export const plainHost = `http://localhost:${firstPort + 1}/`;
/** The port of a worker's silent_server.ts. */
export const silentPort = (parallelIndex: number): number => firstPort + 3 + parallelIndex;
/** The engine's test page alone, built for a path of its own. */
export const built = `http://localhost:${firstPort + 2}/some/where/`;
