// Reads a manifest from a source and checks it. The rules are contract/validate_manifest.ts.
import type { Manifest } from '../contract/generated';
import { mostJsonBytes, parseStrictJson } from '../contract/strict_json';
import { checkManifest } from '../contract/validate_manifest';
import { BundleError } from './bundle_error';
import type { ByteSource } from './byte_source';
import { eachChunk } from './transfer';

/** Far beyond any real one: thousands of taps are a few MiB. */
export const maxManifestBytes = mostJsonBytes;

/** The manifest as it came, which may be anything. `path` is its own name, where it is not `manifest.json`. */
export async function readManifestText(
  source: ByteSource,
  path: string,
  signal: AbortSignal,
  onChunk: () => void,
): Promise<string> {
  const url = source.locate(path);
  // The browser's HTTP cache may keep it, but must ask whether it changed.
  const stream = await source.open(path, signal, { cache: 'no-cache' });
  if (stream.isHtml) {
    await stream.chunks.cancel();
    throw new BundleError({
      kind: 'not-a-manifest',
      url,
      detail: 'the server sent an HTML page, as many do for addresses they do not know',
      isHtml: true,
    });
  }
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const decode = (chunk?: Uint8Array): string => {
    try {
      return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
    } catch (cause) {
      throw new BundleError({ kind: 'not-a-manifest', url, detail: 'it is not UTF-8' }, { cause });
    }
  };
  let text = '';
  let received = 0;
  await eachChunk(stream, url, (chunk) => {
    onChunk();
    received += chunk.length;
    if (received > maxManifestBytes) {
      throw new BundleError({
        kind: 'too-large',
        path,
        bytes: received,
        limit: maxManifestBytes,
      });
    }
    text += decode(chunk);
  });
  return text + decode();
}

/** Throws a BundleError. */
export function parseManifest(text: string, url: string): Manifest {
  const verdict = checkManifest(parse(text, url));
  switch (verdict.kind) {
    case 'manifest':
      return verdict.manifest;
    case 'contract-version':
      throw new BundleError(verdict);
    case 'not-a-manifest':
      throw new BundleError({ ...verdict, url });
  }
}

/** Of a text that `parseManifest` has found right before, which takes many times as long. */
export function parseCheckedManifest(text: string): Manifest {
  return JSON.parse(text) as Manifest;
}

function parse(text: string, url: string): unknown {
  const parsed = parseStrictJson(text);
  if (parsed.kind === 'json') return parsed.value;
  const detail = text.trimStart().startsWith('<') ? 'it holds markup' : parsed.detail;
  throw new BundleError({ kind: 'not-a-manifest', url, detail });
}
