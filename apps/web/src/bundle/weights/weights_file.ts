// One weights file of an open model: its pieces in the store, opened for as long as a session is made of them.
import type { Expansion } from '../../contract/generated';
import type { ChunkStore } from '../storage/chunk_store';
import { RangeBlob, readWhole, type ByteRanges } from './byte_ranges';
import { ExpandedRanges } from './expanded_ranges';
import { PieceRanges, type ProvenPiece } from './piece_ranges';

/** A weights file as its bytes arrived: in pieces, or in an array where no manifest describes it. */
export interface WeightsFile {
  /** Path by which graphs refer to the file. */
  readonly path: string;
  readonly pieces: readonly ProvenPiece[];
  /** null: graphs read the bytes that were downloaded. */
  readonly expansion: Expansion | null;
}

/** What the runtime reads for a session. */
export interface OpenWeights {
  readonly path: string;
  readonly data: Blob | Uint8Array<ArrayBuffer>;
  /** What reading failed with; null where nothing did. */
  error(): unknown;
  /** Milliseconds spent on expanding so far. */
  expandMs(): number;
  close(): void;
}

/**
 * Open a file: as a Blob that is read by range, or else as an array. Null where the store lacks a piece. Rejects where
 * there is no memory for an array.
 */
export async function openWeights(
  { path, pieces, expansion }: WeightsFile,
  store: ChunkStore,
  as: 'ranges' | 'array',
): Promise<OpenWeights | null> {
  const ranges = await PieceRanges.open(pieces, store);
  if (ranges === null) return null;
  const expanded = expansion && new ExpandedRanges(expansion, ranges);
  let failure: unknown = null;
  const dataOf = (whole: ByteRanges): OpenWeights['data'] =>
    as === 'array'
      ? readWhole(path, whole)
      : new RangeBlob(whole, (error) => {
          failure ??= error;
        });
  try {
    return {
      path,
      data: dataOf(expanded ?? ranges),
      error: () => failure,
      expandMs: () => expanded?.expandMs ?? 0,
      close: () => {
        ranges.close();
      },
    };
  } catch (error) {
    ranges.close();
    throw error;
  }
}
