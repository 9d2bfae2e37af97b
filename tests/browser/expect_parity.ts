// Compares all that a run of the engine gives with what PyTorch gave for the same tokens.
import { expect, type Answer } from './engine';
import { largestError, positions, reference, type Prompt, type Reference } from './fixtures';

/** Compares a run that ended at position `end` with PyTorch's answer for the same positions. */
export function expectParity(answer: Answer, prompt: Prompt, end: number, tolerance: number): void {
  const { start, tensors, lastLogits } = answer;
  const logits = positions('logits', reference(prompt, 'logits'), end - 1, end);
  const errors: Record<string, number> = { logits: largestError(lastLogits, logits.data) };
  for (const [name, { dims, data }] of tensors) {
    const expected = positions(name, reference(prompt, name), start, end);
    expect(dims, name).toEqual(expected.dims);
    if (data instanceof Int32Array) {
      const likelihoods = name.replace('_ids', '_probs');
      const right = positions(likelihoods, reference(prompt, likelihoods), start, end);
      errors[name] = rankError(data, expected, right.data);
    } else {
      errors[name] = largestError(data, expected.data);
    }
  }
  const [worst = ['none', NaN]] = Object.entries(errors).sort(([, a], [, b]) => b - a);
  expect(Object.values(errors).every(Number.isFinite), JSON.stringify(errors)).toBe(true);
  expect(worst[1], `${worst[0]} at positions ${start} to ${end - 1}`).toBeLessThanOrEqual(
    tolerance,
  );
}

/**
 * How much likelier PyTorch finds the token that should stand where another one does: two tokens
 * that are equally likely may stand in either order.
 */
function rankError(
  got: Int32Array,
  { data: expected, dims }: Reference,
  probabilities: ArrayLike<number>,
): number {
  const ranks = dims.at(-1) ?? 0;
  let error = 0;
  got.forEach((id, at) => {
    if (id === expected[at]) return;
    const row = at - (at % ranks);
    const rank = expected.subarray(row, row + ranks).indexOf(id);
    // A token that is not among the best at all may only have missed the last place.
    const found = probabilities[row + (rank < 0 ? ranks - 1 : rank)] ?? NaN;
    error = Math.max(error, Math.abs((probabilities[at] ?? NaN) - found));
  });
  return error;
}
