// Checks the tokens of a text before a model is fed with them.
import { ModelError } from './model_error';

/** Throw a ModelError of kind `bad-tokens` or `too-long` for ids that a model can't take. */
export function checkTokens(ids: readonly number[], vocab: number, contextLength: number): void {
  if (ids.length === 0) throw new ModelError({ kind: 'bad-tokens', detail: 'no tokens' });
  if (ids.length > contextLength) {
    throw new ModelError({ kind: 'too-long', tokens: ids.length, limit: contextLength });
  }
  // By index, since the invalid id itself may be undefined.
  const bad = ids.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= vocab);
  if (bad >= 0) {
    const detail = `${String(ids[bad])} is not in 0 … ${vocab - 1}`;
    throw new ModelError({ kind: 'bad-tokens', detail });
  }
}
