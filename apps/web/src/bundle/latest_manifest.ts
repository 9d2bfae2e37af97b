// The newest manifest that can be had: from its address, else what was kept of it. What is in one: read_manifest.ts.
import type { Manifest } from '../contract/generated';
import type { ByteSource } from './byte_source';
import type { KeptManifest, ModelShelf } from './model_shelf';
import { pauseAfter, waitOnline, type Patience } from './patience';
import { parseCheckedManifest, parseManifest, readManifestText } from './read_manifest';
import { StallWatch } from './stall_watch';
import { signalAborted } from './transfer';

export interface LatestManifest {
  readonly manifest: Manifest;
  readonly text: string;
  /** When it was opened last, in milliseconds since 1970, where its address gave none now; null where it did. */
  readonly keptSince: number | null;
}

/** Who has a copy need not wait longer for news of it. */
const patienceForNews = 3000;

/** Rejects with a BundleError where there is neither an answer nor a copy. */
export async function latestManifest(
  source: ByteSource,
  path: string,
  shelf: Pick<ModelShelf, 'manifestOf'> | null,
  patience: Patience,
  signal: AbortSignal,
): Promise<LatestManifest> {
  const url = source.locate(path);
  const kept = (await shelf?.manifestOf(url)) ?? null;
  const parse = (text: string): Manifest => parseOnce(text, url, kept);
  if (kept === null) return read(source, path, parse, patience, signal);
  // All of it: one that comes by drops would keep a reader waiting just as long.
  const inTime = AbortSignal.any([signal, AbortSignal.timeout(patienceForNews)]);
  try {
    return await read(source, path, parse, { ...patience, attempts: 1 }, inTime);
  } catch {
    // An address that now holds something else is a reason to look, not to stop: the page tells of it.
    signalAborted(signal);
    return {
      manifest: parse(kept.text),
      text: kept.text,
      keptSince: kept.openedAt,
    };
  }
}

/** What was found right before is not looked at again: that takes longer than anything else of a second visit's start. */
function parseOnce(text: string, url: string, kept: KeptManifest | null): Manifest {
  const isKnown = kept?.isChecked === true && kept.text === text;
  return isKnown ? parseCheckedManifest(text) : parseManifest(text, url);
}

async function read(
  source: ByteSource,
  path: string,
  parse: (text: string) => Manifest,
  patience: Patience,
  signal: AbortSignal,
): Promise<LatestManifest> {
  const url = source.locate(path);
  for (let failures = 1; ; failures++) {
    const stall = new StallWatch(url, patience.stallMs);
    try {
      const either = AbortSignal.any([signal, stall.signal]);
      const text = await readManifestText(source, path, either, () => {
        stall.reset();
      });
      return { manifest: parse(text), text, keptSince: null };
    } catch (thrown) {
      signalAborted(signal);
      const error = stall.error ?? thrown;
      const ms = pauseAfter(error, failures, patience);
      if (ms === null) throw error;
      await waitOnline(ms, signal).catch(() => {
        signalAborted(signal);
      });
    } finally {
      stall.end();
    }
  }
}
