// Each view of the page in a state worth a picture.
import { expect, type Locator, type Page } from '@playwright/test';
import { answered } from './drawn_claims';

export interface ViewState {
  /** The view's id. */
  readonly view: string;
  /** What the link holds besides text, language and view. */
  readonly link?: string;
  /** The test id of a button that makes the view compute. */
  readonly press?: string;
  /** The test id of what stands in the view once it has drawn. */
  readonly drawn: string;
  /** The folder under `models/` of the page's host that the model is in, where the bundled one lacks what is shown. */
  readonly model?: string;
  /** True where the view tells times, speeds or sizes, which differ between machines. */
  readonly measures?: true;
}

/** Differs from the fixtures' sentence in who gives. */
const otherText = 'When Anna and Ben went to the shop, Ben gave a book to';

export const VIEW_STATES: readonly ViewState[] = [
  { view: 'next', drawn: 'candidate' },
  { view: 'overview', drawn: 'roles-of-heads' },
  { view: 'attention', drawn: 'large-map' },
  { view: 'lens', drawn: 'lens-reading' },
  { view: 'attribution', press: 'open-attribution', drawn: 'attribution-sum', measures: true },
  { view: 'neurons', drawn: 'strongest-neurons' },
  { view: 'features', drawn: 'strongest-features' },
  {
    view: 'units',
    model: 'demo-units',
    link: 'unit=mlp_act.3.386',
    drawn: 'unit-page',
    measures: true,
  },
  { view: 'steps', drawn: 'step-row' },
  { view: 'paths', press: 'open-tree', drawn: 'best-path' },
  { view: 'interventions', link: 'off=5.2', drawn: 'edited-layer' },
  { view: 'activations', drawn: 'strip', measures: true },
  {
    view: 'compare',
    link: `beside=${encodeURIComponent(`text.${otherText}`)}`,
    drawn: 'divergence',
  },
  { view: 'facts', drawn: 'facts', measures: true },
];

/** Open a view alone (the prediction stands beside each), by a link, and return it once it has drawn. */
export async function openView(
  page: Page,
  state: ViewState,
  [text, tokens]: readonly [text: string, tokens: number],
  { base = '/', language = 'en' } = {},
): Promise<Locator> {
  const link = ['h=5.2', ...(state.link === undefined ? [] : [state.link])].join('&');
  const alone = state.view === 'next' ? '' : `&only=${state.view}`;
  await page.goto('about:blank');
  const from = state.model === undefined ? '' : `?model=models/${state.model}/manifest.json`;
  await page.goto(
    `${base}${from}#lang=${language}&on=wasm&p=${encodeURIComponent(text)}&${link}${alone}`,
  );
  await answered(page, tokens);
  const view = page.locator(`#${state.view}`);
  const button = state.press === undefined ? null : view.getByTestId(state.press);
  if (button !== null) await button.click();
  await expect(view.getByTestId(state.drawn).first()).toBeVisible({ timeout: 60_000 });
  await expect(page.locator('main')).toHaveAttribute('aria-busy', 'false');
  await stoodStill(view);
  return view;
}

/** Longer than what is out of sight waits for its turn to be drawn, in milliseconds. */
const STILL_MS = 1500;

/** Wait until nothing in the element has changed for a while: long lists and pictures out of sight are drawn in turns. */
export async function stoodStill(element: Locator): Promise<void> {
  await element.evaluate(
    (watched, stillMs) =>
      new Promise<void>((resolve) => {
        const settled = (): void => {
          observer.disconnect();
          resolve();
        };
        let waiting = setTimeout(settled, stillMs);
        const observer = new MutationObserver(() => {
          clearTimeout(waiting);
          waiting = setTimeout(settled, stillMs);
        });
        // A canvas that is drawn gets its size as an attribute.
        observer.observe(watched, { subtree: true, childList: true, attributes: true });
      }),
    STILL_MS,
  );
}
