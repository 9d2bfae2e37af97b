// Whether what a request needs from the network can be had now, found out before anything that works is closed.
import { BundleError } from '../bundle/bundle_error';
import { inTime } from '../bundle/patience';
import { findBundle } from './find_bundle';
import { missingPieces } from './kept_variants';
import { makeSurvey, variantNamed, type EarlyStart } from './load_model';
import { ModelError } from './model_error';
import type { OpenRequest } from './model_types';
import { checkTaps } from './taps';

/** A host that says nothing for so long will hardly give the rest. */
const patienceMs = 8000;

/** Longer than a refused connection is tried again, so that the reader hears of the refusal. */
const manifestPatienceMs = 15_000;

/**
 * Resolves where opening the request needs nothing from the network, or its host gives what is missing. Rejects with the
 * BundleError or ModelError that opening would end in, also where the manifest and the device already tell that it would
 * fail. What shows only in files that come later is the opening's to tell.
 */
export async function reachModel(
  request: OpenRequest,
  baseUrl: string,
  early: EarlyStart,
): Promise<void> {
  const { graphName, source, found } = findBundle(request, baseUrl, early);
  const bundle = await inTime(found, manifestPatienceMs, null);
  if (bundle === null) throw stalled(request.url, manifestPatienceMs);
  const { manifest, bare } = bundle;
  const { choice, refused } = makeSurvey(request, graphName, manifest, await early.device).offer;
  if (choice === null) throw new ModelError(refused ?? { kind: 'aborted' });
  const variant = variantNamed(manifest, choice.variant);
  checkTaps(variant, request.activations ?? []);
  if (request.local !== undefined || bare !== null) return;
  const digests = (await (await early.shelf)?.digests()) ?? new Set<string>();
  const missing = missingPieces(manifest, variant, digests);
  const [largest] = missing.toSorted((a, b) => b.bytes - a.bytes);
  if (largest === undefined) return;
  const signal = AbortSignal.timeout(patienceMs);
  try {
    const { chunks } = await source.open(largest.path, signal);
    await chunks.cancel();
  } catch (cause) {
    if (!signal.aborted) throw cause;
    throw stalled(source.locate(largest.path), patienceMs, cause);
  }
}

function stalled(url: string, ms: number, cause?: unknown): BundleError {
  return new BundleError({ kind: 'stalled', url, ms }, { cause });
}
