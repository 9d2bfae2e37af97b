// Measures how smooth the page's views are, for benchmarks/page_views.py: the time to show each, the time from a pointer's
// move to the paint that follows, and the tasks of the main thread by Chromium's trace.
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, normalize } from 'node:path';
import { chromium, test, type Browser, type Locator, type Page } from '@playwright/test';
import tests from '../../playwright.config';

interface Plan {
  readonly tokens: number;
  readonly moves: number;
  readonly bundle: string;
  readonly answers: string;
}

interface Figures {
  readonly switches: number[];
  readonly moves: number[];
  /** Milliseconds on the clock, and on the processor, which other load of the machine does not lengthen. */
  readonly tasks: [wall: number, processor: number][];
}

/** A view, what shows that it is there, and what the pointer moves over. */
interface Measured {
  readonly name: string;
  readonly id: string;
  readonly hash: string;
  readonly shows: string;
  readonly over: string;
}

const VIEWS: readonly Measured[] = [
  {
    name: 'overview',
    id: 'overview',
    hash: '',
    shows: '[data-testid=overview-0-0] canvas',
    over: '[data-testid=cells-of-heads]',
  },
  {
    name: 'attention, small maps',
    id: 'attention',
    hash: '',
    shows: '[data-testid=large-map] canvas',
    over: '[data-testid=attention] .maps',
  },
  {
    name: 'attention, large map',
    id: 'attention',
    hash: '',
    shows: '[data-testid=large-map] canvas',
    over: '[data-testid=large-map]',
  },
  {
    name: 'attention, mean of all heads',
    id: 'attention',
    hash: '&map=probs_mean_plain',
    shows: '[data-testid=large-map] canvas',
    over: '[data-testid=large-map]',
  },
];
const SWITCHES = 5;

async function serveBundle(folder: string): Promise<{ url: string; close: () => void }> {
  const server = createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url ?? '/', 'http://x').pathname));
    readFile(join(folder, path)).then(
      (bytes) => {
        response.writeHead(200, {
          'access-control-allow-origin': '*',
          'cross-origin-resource-policy': 'cross-origin',
          'content-length': bytes.length,
        });
        response.end(bytes);
      },
      () => {
        response.writeHead(404, { 'access-control-allow-origin': '*' });
        response.end();
      },
    );
  });
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://localhost:${port}/manifest.json`, close: () => server.close() };
}

/** Open the page with one view alone, and wait until it and all that it computes has come to rest. */
async function open(page: Page, { tokens }: Plan, url: string, view: Measured): Promise<void> {
  const ids = Array.from({ length: tokens }, (_, at) => (at * 37) % 509).join(' ');
  await page.route('**/models/index.json', (route) =>
    route.fulfill({
      json: [{ name: 'views', path: url, architecture: 'gpt2', parameters: 1, bytes: 1 }],
    }),
  );
  await page.goto('about:blank');
  await page.goto(
    `./#lang=en&on=wasm&model=views&only=${view.id}&open=attn_probs:0-11&p=${encodeURIComponent(ids)}${view.hash}`,
  );
  await page.locator(view.shows).waitFor({ timeout: 120_000 });
  await page.locator('main[aria-busy=false]').waitFor({ timeout: 120_000 });
  await page.waitForTimeout(5000);
}

/** Return the milliseconds from a press on the list of views to the first paint with the view's picture. */
async function switchTo(page: Page, id: string, shows: string): Promise<number> {
  return page.evaluate(
    async ([title, selector]) => {
      const buttons = Array.from(
        document.querySelectorAll<HTMLElement>('[data-testid=views] .button'),
      );
      const button = buttons.find((each) => each.textContent.trim() === title);
      const from = performance.now();
      button?.click();
      const painted = async (): Promise<void> =>
        new Promise((resolve) => {
          requestAnimationFrame(() => setTimeout(resolve));
        });
      do await painted();
      while (document.querySelector(selector ?? '') === null);
      return performance.now() - from;
    },
    [id, shows],
  );
}

/** Move the pointer over an element, and return the milliseconds from each move to the paint after it. */
async function movesOver(page: Page, target: Locator, count: number): Promise<number[]> {
  await target.scrollIntoViewIfNeeded();
  await page.evaluate(() => {
    const times: number[] = [];
    Object.assign(globalThis, { moveTimes: times });
    addEventListener(
      'pointermove',
      (event) => {
        const from = event.timeStamp;
        requestAnimationFrame(() => {
          // The task after a frame's callbacks runs once it was painted.
          const { port1, port2 } = new MessageChannel();
          port1.onmessage = () => times.push(performance.now() - from);
          port2.postMessage(null);
        });
      },
      { capture: true },
    );
  });
  const box = await target.boundingBox();
  const size = page.viewportSize();
  if (box === null || size === null) throw new Error('nothing to move over');
  const [bottom, right] = [
    Math.min(box.y + box.height, size.height),
    Math.min(box.x + box.width, size.width),
  ];
  const top = Math.max(0, box.y);
  for (let move = 0; move < count; move++) {
    // Over other places each time, with pauses as a hand makes them.
    const [across, down] = [(move * 0.618) % 1, (move * 0.381) % 1];
    await page.mouse.move(
      box.x + 4 + across * (right - box.x - 8),
      top + 4 + down * (bottom - top - 8),
    );
    await page.waitForTimeout(60);
  }
  return page.evaluate(() => (globalThis as unknown as { moveTimes: number[] }).moveTimes);
}

interface TraceEvent {
  readonly name: string;
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  /** Microseconds on the clock, and on the processor. */
  readonly dur?: number;
  readonly tdur?: number;
  readonly args?: { readonly name?: string };
}

/** Return the milliseconds of the tasks of pages' main threads that took 10 ms or more. */
function tasksOf(trace: Buffer): Figures['tasks'] {
  const { traceEvents } = JSON.parse(trace.toString('utf8')) as { traceEvents: TraceEvent[] };
  const mains = new Set(
    traceEvents
      .filter(({ name, args }) => name === 'thread_name' && args?.name === 'CrRendererMain')
      .map(({ pid, tid }) => `${pid} ${tid}`),
  );
  return traceEvents
    .filter(
      ({ name, ph, pid, tid }) => name === 'RunTask' && ph === 'X' && mains.has(`${pid} ${tid}`),
    )
    .map(({ dur = 0, tdur = dur }): [number, number] => [dur / 1000, tdur / 1000])
    .filter(([wall]) => wall >= 10);
}

async function traced(
  browser: Browser,
  page: Page,
  work: () => Promise<void>,
): Promise<Figures['tasks']> {
  const categories = ['devtools.timeline', 'disabled-by-default-devtools.timeline'];
  await browser.startTracing(page, { categories });
  await work();
  return tasksOf(await browser.stopTracing());
}

test('views', async ({ baseURL }) => {
  const plan = JSON.parse(process.env['ORIEL_BENCHMARK_PLAN'] ?? 'null') as Plan | null;
  if (plan === null) throw new Error('ORIEL_BENCHMARK_PLAN is not set: run page_views.py');
  const served = await serveBundle(plan.bundle);
  const browser = await chromium.launch({ ...tests.use?.launchOptions });
  const found: Record<string, Figures> = {};
  for (const view of VIEWS) {
    const context = await browser.newContext({
      baseURL: baseURL ?? '',
      viewport: { width: 1440, height: 900 },
    });
    const page = await context.newPage();
    await open(page, plan, served.url, view);
    const titles = { overview: 'Heads', attention: 'Attention' } as const;
    const switches: number[] = [];
    let moves: number[] = [];
    const tasks = await traced(browser, page, async () => {
      for (let time = 0; time < SWITCHES; time++) {
        await switchTo(page, 'Inside', '[data-testid=activations]');
        await page.waitForTimeout(1500);
        switches.push(await switchTo(page, titles[view.id as keyof typeof titles], view.shows));
        await page.waitForTimeout(3000);
      }
      moves = await movesOver(page, page.locator(view.over), plan.moves);
    });
    found[view.name] = { switches, moves, tasks };
    await context.close();
  }
  await browser.close();
  served.close();
  await writeFile(plan.answers, JSON.stringify(found));
});
