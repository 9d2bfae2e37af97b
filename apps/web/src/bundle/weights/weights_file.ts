// One weights file of an open model, whose stored pieces are kept open while a session is created from them.
import type { Expansion } from '../../contract/generated';
import type { ChunkStore } from '../storage/chunk_store';
import { RangeArray } from './byte_ranges';
import { ExpandedRanges } from './expanded_ranges';
import { PieceRanges, type ProvenPiece } from './piece_ranges';

/** A weights file as it was downloaded: in pieces, or as one array if no manifest describes it. */
export interface WeightsFile {
  /** Path by which graphs refer to the file. */
  readonly path: string;
  readonly pieces: readonly ProvenPiece[];
  /** Expansion of the file; null if graphs read the downloaded bytes. */
  readonly expansion: Expansion | null;
}

/** The array that the runtime reads for a session. */
export interface OpenWeights {
  readonly path: string;
  readonly data: RangeArray;
  /** Error of the first failed read; null if all succeeded. */
  error(): unknown;
  /** Milliseconds spent on expanding so far. */
  expandMs(): number;
  close(): void;
}

/** Open a file; null if the store lacks a piece. */
export async function openWeights(
  { path, pieces, expansion }: WeightsFile,
  store: ChunkStore,
): Promise<OpenWeights | null> {
  const ranges = await PieceRanges.open(pieces, store);
  if (ranges === null) return null;
  const expanded = expansion && new ExpandedRanges(expansion, ranges);
  let failure: unknown = null;
  const data = new RangeArray(expanded ?? ranges, (error) => {
    failure ??= error;
  });
  return {
    path,
    data,
    error: () => failure,
    expandMs: () => expanded?.expandMs ?? 0,
    close: () => {
      ranges.close();
      data.release();
    },
  };
}
