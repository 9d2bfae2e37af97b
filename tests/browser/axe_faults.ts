// axe-core on a page: what it finds wrong, by its default rules.
import axe, { type AxeResults } from 'axe-core';
import type { Page } from '@playwright/test';

/** List what is wrong within what a selector finds: the rule, an element and, where axe-core says it, what to change. */
export async function axeFaults(page: Page, within = 'html'): Promise<string[]> {
  await page.evaluate(axe.source);
  return page.evaluate(async (where) => {
    const { axe } = globalThis as unknown as { axe: { run(where: string): Promise<AxeResults> } };
    const { violations } = await axe.run(where);
    return violations.flatMap(({ id, nodes }) =>
      nodes.slice(0, 3).map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary ?? ''}`),
    );
  }, within);
}
