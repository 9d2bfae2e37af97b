// The parts that an analysis of the page's text needs of the open model.
import { ModelError } from '../inference/model_error';
import type { ModelClient } from '../inference/client_interface';
import type { Opening } from './opening.svelte';
import type { TokenPieces } from './token_pieces';

export interface AnalysisParts {
  readonly opening: Opening;
  readonly pieces: TokenPieces;
  /** Do work on the open session, behind what was asked of it before. */
  readonly inTurn: <Result>(work: () => Promise<Result>) => Promise<Result>;
}

/**
 * Run the open model, in turn with the page's own runs. Rejects with a ModelError of kind `aborted` where the signal aborts
 * before its turn, or another model is open then.
 */
export function inTurn<Result>(
  parts: Pick<AnalysisParts, 'opening' | 'inTurn'>,
  call: (client: ModelClient) => Promise<Result>,
  signal: AbortSignal,
): Promise<Result> {
  const { opening } = parts;
  const { client } = opening;
  return parts.inTurn(async () => {
    if (signal.aborted || client === null || client !== opening.client)
      throw new ModelError({ kind: 'aborted' });
    return call(client);
  });
}
