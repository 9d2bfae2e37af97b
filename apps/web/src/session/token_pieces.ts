// The bytes of the tokens that the open model's tokenizer was asked for.
import type { ModelClient } from '../inference/client_interface';
import type { TokenPiece } from '../inference/model_types';

export class TokenPieces {
  #known = new Map<number, TokenPiece>();

  get known(): ReadonlyMap<number, TokenPiece> {
    return this.#known;
  }

  /** Forget them all: another model's tokens have other bytes. Answers keep the map that they were given. */
  clear(): void {
    this.#known = new Map();
  }

  add(pieces: Iterable<TokenPiece>): void {
    for (const piece of pieces) this.#known.set(piece.id, piece);
  }

  /** Ask for those that are not known yet. */
  async learn(client: ModelClient, ids: Iterable<number>): Promise<void> {
    const known = this.#known;
    const unknown = [...new Set(ids)].filter((id) => !known.has(id));
    if (unknown.length === 0) return;
    for (const piece of await client.pieces(unknown)) known.set(piece.id, piece);
  }
}
