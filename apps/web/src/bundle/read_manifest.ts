// Reads a manifest from a source and checks it, by the rules in contract/validate_manifest.ts.
import type { Manifest } from '../contract/generated';
import { maxJsonBytes, parseStrictJson } from '../contract/strict_json';
import { checkManifest } from '../contract/validate_manifest';
import { BundleError } from './bundle_error';
import type { ByteSource } from './sources/byte_source';
import { eachChunk } from './download/transfer';

/** Maximum bytes of a manifest. Real ones are far smaller: thousands of taps are a few MiB. */
export const maxManifestBytes = maxJsonBytes;

/** Read the text at `path`, which may be anything, as UTF-8. Rejects with a BundleError. */
export async function readManifestText(
  source: ByteSource,
  path: string,
  signal: AbortSignal,
  onChunk: () => void,
): Promise<string> {
  const url = source.locate(path);
  // The browser's HTTP cache may store it, but must revalidate it.
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

/** Parse and check a manifest. Throws a BundleError. */
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

/** Parse a text that `parseManifest` has accepted before, without its check, which takes many times as long. */
export function parseCheckedManifest(text: string): Manifest {
  return JSON.parse(text) as Manifest;
}

function parse(text: string, url: string): unknown {
  const parsed = parseStrictJson(text);
  if (parsed.kind === 'json') return parsed.value;
  const detail = text.trimStart().startsWith('<') ? 'it holds markup' : parsed.detail;
  throw new BundleError({ kind: 'not-a-manifest', url, detail });
}
