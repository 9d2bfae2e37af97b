// Checks that the files which a request needs from the network can be fetched now, before the open model is closed.
import { BundleError } from '../bundle/bundle_error';
import { inTime } from '../bundle/download/retry_policy';
import { findBundle } from './find_bundle';
import { missingPieces } from './kept_variants';
import { makeSurvey, variantNamed, type EarlyStart } from './load_model';
import { ModelError } from './model_error';
import type { OpenRequest } from './model_types';
import { checkTaps } from './taps';

/** Timeout of the largest missing file: a host that is silent for so long will hardly serve the rest. */
const timeoutMs = 8000;

/** Timeout of the manifest: longer than the retries of a refused connection, so that the refusal itself is reported. */
const manifestTimeoutMs = 15_000;

/**
 * Resolve where opening the request needs nothing from the network, or its host serves what is missing. Reject with
 * the BundleError or ModelError that opening would end in, also where the manifest and the device already show that it
 * would fail. Errors in files that are read later are reported by the opening itself.
 */
export async function reachModel(
  request: OpenRequest,
  baseUrl: string,
  early: EarlyStart,
): Promise<void> {
  const { graphName, source, found } = findBundle(request, baseUrl, early);
  const bundle = await inTime(found, manifestTimeoutMs, null);
  if (bundle === null) throw stalled(request.url, manifestTimeoutMs);
  const { manifest, bare } = bundle;
  const { choice, refused } = makeSurvey(request, graphName, manifest, await early.device).offer;
  if (choice === null) throw new ModelError(refused ?? { kind: 'aborted' });
  const variant = variantNamed(manifest, choice.variant);
  checkTaps(variant, request.activations ?? []);
  if (request.local !== undefined || bare !== null) return;
  const digests = (await (await early.modelCache)?.digests()) ?? new Set<string>();
  const missing = missingPieces(manifest, variant, digests);
  const [largest] = missing.toSorted((a, b) => b.bytes - a.bytes);
  if (largest === undefined) return;
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    const { chunks } = await source.open(largest.path, signal);
    await chunks.cancel();
  } catch (cause) {
    if (!signal.aborted) throw cause;
    throw stalled(source.locate(largest.path), timeoutMs, cause);
  }
}

function stalled(url: string, ms: number, cause?: unknown): BundleError {
  return new BundleError({ kind: 'stalled', url, ms }, { cause });
}
