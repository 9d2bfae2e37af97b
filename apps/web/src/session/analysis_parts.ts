// What an analysis of the page's text needs of the open model.
import type { Opening } from './opening.svelte';
import type { TokenPieces } from './token_pieces';

export interface AnalysisParts {
  readonly opening: Opening;
  readonly pieces: TokenPieces;
  /** Do work on the open session, behind what was asked of it before. */
  readonly inTurn: <Result>(work: () => Promise<Result>) => Promise<Result>;
}
