// One token of the text as the views see it.
import { tokenLabel } from '../analysis/token_text';
import type { TokenPiece } from '../inference/model_types';

export interface Token {
  id: number;
  position: number;
  /** Null where the model has no tokenizer: then the id is all there is to show. */
  bytes: Uint8Array | null;
  /** One line, white space visible. */
  label: string;
  /** True where it was chosen by the model or picked from its candidates, not typed. */
  generated: boolean;
}

/** Make the tokens. An unchanged token stays the same object, so that its chip is not drawn again. */
export function tokensOf(
  ids: readonly number[],
  pieces: ReadonlyMap<number, TokenPiece>,
  typed: number,
  before: readonly Token[],
): Token[] {
  return ids.map((id, position) => {
    const same = before[position];
    if (same?.id === id && same.generated === position >= typed) return same;
    const bytes = pieces.get(id)?.bytes ?? null;
    return { id, position, bytes, label: labelOf(id, bytes), generated: position >= typed };
  });
}

export function labelOf(id: number, bytes: Uint8Array | null): string {
  return bytes === null ? `#${id}` : tokenLabel(bytes) || '∅';
}
