// Gets the newest manifest available: from its address, else the stored copy. read_manifest.ts reads and checks it.
import type { Manifest } from '../contract/generated';
import type { ByteSource } from './sources/byte_source';
import type { KeptManifest, ModelCache } from './storage/model_cache';
import type { RetryPolicy } from './download/retry_policy';
import { parseCheckedManifest, parseManifest, readManifestText } from './read_manifest';
import { signalAborted } from './download/transfer';
import { withRetries, type RetryContext } from './download/with_retries';

export interface LatestManifest {
  readonly manifest: Manifest;
  readonly text: string;
  /** For a stored copy, the time it was last opened, in milliseconds since 1970; null for one from its address. */
  readonly keptSince: number | null;
}

/** Timeout in milliseconds for a newer manifest where there is a stored copy. */
const newestTimeoutMs = 3000;

/** Get the newest manifest. Rejects with a BundleError where there is neither an answer nor a copy. */
export async function latestManifest(
  source: ByteSource,
  path: string,
  modelCache: Pick<ModelCache, 'manifestOf'> | null,
  retryPolicy: RetryPolicy,
  signal: AbortSignal,
): Promise<LatestManifest> {
  const url = source.locate(path);
  const kept = (await modelCache?.manifestOf(url)) ?? null;
  const parse = (text: string): Manifest => parseOnce(text, url, kept);
  if (kept === null) return read(source, path, parse, { retryPolicy, signal });
  // The timeout covers the whole download, so that a very slow one does not keep the visitor waiting either.
  const inTime = AbortSignal.any([signal, AbortSignal.timeout(newestTimeoutMs)]);
  try {
    const once = { retryPolicy: { ...retryPolicy, attempts: 1 }, signal: inTime };
    return await read(source, path, parse, once);
  } catch {
    // Even where the address now holds no valid manifest, the copy is opened; the page says that it is a copy.
    signalAborted(signal);
    return {
      manifest: parse(kept.text),
      text: kept.text,
      keptSince: kept.openedAt,
    };
  }
}

/** Parse a manifest; skip the check of a text that passed it before: the slowest part of a second visit's start. */
function parseOnce(text: string, url: string, kept: KeptManifest | null): Manifest {
  const isKnown = kept?.isChecked === true && kept.text === text;
  return isKnown ? parseCheckedManifest(text) : parseManifest(text, url);
}

function read(
  source: ByteSource,
  path: string,
  parse: (text: string) => Manifest,
  context: RetryContext,
): Promise<LatestManifest> {
  return withRetries(source.locate(path), context, async (until, stall) => {
    const text = await readManifestText(source, path, until, () => {
      stall.reset();
    });
    return { manifest: parse(text), text, keptSince: null };
  });
}
