// The page's verdict on manifests that come as base64, a line each, on standard input: a JSON list of `taken` or what was
// wrong. It is called by tests/python/test_hostile_manifests.py, which compares it with Python's.
import { text } from 'node:stream/consumers';
import { withPageModules } from './page_modules.mjs';

/**
 * @typedef {{ kind: 'json', value: unknown } | { kind: 'refused', detail: string }} JsonVerdict
 * @typedef {{ kind: string, detail?: string, got?: string }} ManifestVerdict
 */

await withPageModules(async (load) => {
  const json = await load('contract/strict_json.ts');
  const manifests = await load('contract/validate_manifest.ts');
  const parse = /** @type {(text: string) => JsonVerdict} */ (json['parseStrictJson']);
  const check = /** @type {(json: unknown) => ManifestVerdict} */ (manifests['checkManifest']);
  const lines = (await text(process.stdin)).split('\n');
  process.stdout.write(JSON.stringify(lines.map((line) => judge(line, parse, check))));
});

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
