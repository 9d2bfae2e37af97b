// Whether the probabilities that stand on the page are those of PyTorch's logits.
import { expect as plainExpect, type Page } from '@playwright/test';
import { largestError, positions, reference, type Prompt } from './fixtures';

const expect = plainExpect.configure({ timeout: 60_000 });

export async function expectRightAnswer(page: Page, prompt: Prompt): Promise<void> {
  const end = prompt.ids.length;
  const { data } = positions('logits', reference(prompt, 'logits'), end - 1, end);
  const logits = Array.from(data);
  const largest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const weights = logits.map((value) => Math.exp(value - largest));
  const total = weights.reduce((a, b) => a + b, 0);
  await expect(page.getByTestId('token-count')).toContainText(String(end));
  await expect
    .poll(async () => {
      const shown = await page
        .getByTestId('candidate')
        .evaluateAll((rows: HTMLElement[]) =>
          rows.map(
            ({ dataset }) => [Number(dataset['id']), Number(dataset['probability'])] as const,
          ),
        );
      if (shown.length === 0) return 1;
      const right = shown.map(([id]) => (weights[id] ?? NaN) / total);
      return largestError(
        shown.map(([, probability]) => probability),
        right,
      );
    })
    .toBeLessThanOrEqual(1e-4);
}
