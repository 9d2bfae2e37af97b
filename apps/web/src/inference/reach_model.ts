// Whether what a request needs from the network can be had now, found out before anything that works is closed.
import { BundleError } from '../bundle/bundle_error';
import { findBundle } from './find_bundle';
import { missingPieces } from './kept_variants';
import { makeSurvey, variantNamed, type EarlyStart } from './load_model';
import type { OpenRequest } from './model_types';

/** A host that says nothing for so long will hardly give the rest. */
const patienceMs = 8000;

/**
 * Resolves where opening the request needs nothing from the network, or its host gives what is missing. Rejects with the
 * BundleError that opening would end in. What else may be wrong is the opening's to tell.
 */
export async function reachModel(
  request: OpenRequest,
  baseUrl: string,
  early: EarlyStart,
): Promise<void> {
  const { graphName, source, found } = findBundle(request, baseUrl, early);
  const { manifest, bare } = await found;
  const { choice } = makeSurvey(request, graphName, manifest, await early.device).offer;
  if (request.local !== undefined || bare !== null || choice === null) return;
  const digests = (await (await early.shelf)?.digests()) ?? new Set<string>();
  const missing = missingPieces(manifest, variantNamed(manifest, choice.variant), digests);
  const [largest] = missing.toSorted((a, b) => b.bytes - a.bytes);
  if (largest === undefined) return;
  const signal = AbortSignal.timeout(patienceMs);
  try {
    const { chunks } = await source.open(largest.path, signal);
    await chunks.cancel();
  } catch (cause) {
    if (!signal.aborted) throw cause;
    const stalled = { kind: 'stalled', url: source.locate(largest.path), ms: patienceMs } as const;
    throw new BundleError(stalled, { cause });
  }
}
