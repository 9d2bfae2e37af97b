// What the page shows of a prediction, beside PyTorch's.
import { expect, type FrameLocator, type Page } from '@playwright/test';
import { largestError } from './fixtures';

/** Expect the candidates that are shown to have these probabilities, (vocab), to 1e-4. */
export async function expectCandidates(
  place: Page | FrameLocator,
  right: ArrayLike<number>,
): Promise<void> {
  const shown = await place
    .getByTestId('candidate')
    .evaluateAll((rows: HTMLElement[]) =>
      rows.map(({ dataset }) => [Number(dataset['id']), Number(dataset['probability'])] as const),
    );
  expect(shown.length).toBeGreaterThan(5);
  const error = largestError(
    shown.map(([, probability]) => probability),
    shown.map(([id]) => right[id] ?? NaN),
  );
  expect(error).toBeLessThan(1e-4);
}
