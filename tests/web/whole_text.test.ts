// The tokens around a text, and which position of it is predicted, in models with a cache and without.
import { expect, test } from 'vitest';
import {
  idsAround,
  keysSeen,
  maskTokenOf,
  predictedPosition,
} from '../../apps/web/src/contract/whole_text';
import type { Manifest } from '../../apps/web/src/contract/generated';

function manifestOf(bidirectional: boolean): Manifest {
  return {
    model: { shape: { bidirectional } },
    tokenizer: { first_tokens: [2], last_tokens: [3], mask_token: 4 },
  } as unknown as Manifest;
}
const [encoder, decoder] = [manifestOf(true), manifestOf(false)];

test('a text that the model continues has nothing behind it', () => {
  expect(idsAround(encoder, [7, 8])).toEqual([2, 7, 8, 3]);
  expect(idsAround(decoder, [7, 8])).toEqual([2, 7, 8]);
});

test.each([
  ['the first mask', [2, 7, 4, 8, 4, 3], 2],
  ['the last token of the text', [2, 7, 8, 3], 2],
  ['the last token of ids without the end', [2, 7, 8], 2],
  ['the only token', [3], 0],
])('an encoder predicts at %s', (_, ids, position) => {
  expect(predictedPosition(encoder, ids)).toBe(position);
});

test('a decoder predicts behind its last token, whatever that is', () => {
  expect(predictedPosition(decoder, [2, 4, 7, 3])).toBe(3);
  expect(maskTokenOf(decoder)).toBeNull();
});

test('a query sees the keys up to itself, or all', () => {
  expect(keysSeen({}, 5)(1)).toBe(2);
  expect(keysSeen({ bidirectional: true }, 5)(1)).toBe(5);
});
