// Changes which models the page's list names.
import type { Page } from '@playwright/test';

/** Has the list name these addresses, each by its name. */
export async function offer(page: Page, models: Record<string, string>): Promise<void> {
  await page.route('**/models/index.json', (route) =>
    route.fulfill({
      json: Object.entries(models).map(([name, path]) => ({
        name,
        path,
        architecture: 'llama',
        parameters: 1,
        bytes: 1,
      })),
    }),
  );
}
