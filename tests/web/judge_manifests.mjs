// The page's verdict on manifests that come as base64, a line each, on standard input: a JSON list of `taken` or what was
// wrong. It is called by tests/python/test_hostile_manifests.py, which compares it with Python's.
import { text } from 'node:stream/consumers';
import { createServer } from 'vite';

/**
 * @typedef {{ kind: 'json', value: unknown } | { kind: 'refused', detail: string }} JsonVerdict
 * @typedef {{ kind: string, detail?: string, got?: string }} ManifestVerdict
 */

const server = await createServer({
  configFile: new URL('../../vitest.config.ts', import.meta.url).pathname,
  root: new URL('../..', import.meta.url).pathname,
  server: { middlewareMode: true, hmr: false, watch: null, ws: false },
  optimizeDeps: { noDiscovery: true },
  appType: 'custom',
  logLevel: 'error',
});
try {
  const contract = '/apps/web/src/contract';
  /** @type {Record<string, unknown>} */
  const json = await server.ssrLoadModule(`${contract}/strict_json.ts`);
  /** @type {Record<string, unknown>} */
  const manifests = await server.ssrLoadModule(`${contract}/validate_manifest.ts`);
  const parse = /** @type {(text: string) => JsonVerdict} */ (json['parseStrictJson']);
  const check = /** @type {(json: unknown) => ManifestVerdict} */ (manifests['checkManifest']);
  const lines = (await text(process.stdin)).split('\n');
  process.stdout.write(JSON.stringify(lines.map((line) => judge(line, parse, check))));
} finally {
  await server.close();
}

/**
 * @param {string} line
 * @param {(text: string) => JsonVerdict} parse
 * @param {(json: unknown) => ManifestVerdict} check
 * @returns {string}
 */
function judge(line, parse, check) {
  let decoded;
  try {
    const bytes = Buffer.from(line, 'base64');
    decoded = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return 'not UTF-8';
  }
  const parsed = parse(decoded);
  if (parsed.kind === 'refused') return parsed.detail;
  const verdict = check(parsed.value);
  return verdict.kind === 'manifest'
    ? 'taken'
    : `${verdict.kind}: ${verdict.detail ?? verdict.got ?? ''}`;
}
