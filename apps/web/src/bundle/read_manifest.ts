// Fetches a manifest and checks it. The rules are contract/validate_manifest.ts.
import type { Manifest } from '../contract/generated';
import { checkManifest } from '../contract/validate_manifest';
import { BundleError } from './bundle_error';
import { manifestName } from './bundle_url';
import type { ByteSource } from './byte_source';
import { eachChunk } from './read_file';

/** Far beyond any real one: thousands of taps are a few MiB. */
export const maxManifestBytes = 64 * 2 ** 20;

/** `path` is the manifest's own name, where it is not `manifest.json`. */
export async function readManifest(
  source: ByteSource,
  signal: AbortSignal,
  path = manifestName,
): Promise<Manifest> {
  const url = source.locate(path);
  const stream = await source.open(path, signal);
  if (stream.isHtml) {
    await stream.chunks.cancel();
    throw new BundleError({
      kind: 'not-a-manifest',
      url,
      detail: 'the server sent an HTML page, as many do for addresses they do not know',
    });
  }
  const decoder = new TextDecoder();
  let text = '';
  let received = 0;
  await eachChunk(source, path, stream, signal, (chunk) => {
    received += chunk.length;
    if (received > maxManifestBytes) {
      throw new BundleError({
        kind: 'too-large',
        path,
        bytes: received,
        limit: maxManifestBytes,
      });
    }
    text += decoder.decode(chunk, { stream: true });
  });
  text += decoder.decode();
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

function parse(text: string, url: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const detail = text.trimStart().startsWith('<') ? 'it holds markup' : 'it is not JSON';
    throw new BundleError({ kind: 'not-a-manifest', url, detail }, { cause });
  }
}
