// A second tab that never answers again.
import type { BrowserContext, Page } from '@playwright/test';

/** Open a tab that takes these locks and holds them until it is closed. */
export async function openHungTab(
  context: BrowserContext,
  url: string,
  locks: readonly string[],
): Promise<Page> {
  const hung = await context.newPage();
  await hung.goto(url);
  await hung.evaluate(
    (names) =>
      Promise.all(
        names.map(
          (name) =>
            new Promise<void>((resolve) => {
              void navigator.locks.request(name, () => {
                resolve();
                return new Promise(() => undefined);
              });
            }),
        ),
      ),
    locks,
  );
  return hung;
}
