// Whatever happens on the way, a model opens with PyTorch's numbers or one clear error says why, and the next try works.
import { readFileSync } from 'node:fs';
import type { Page } from '@playwright/test';
import type { ModelErrorData, OpenedModel } from '../../apps/web/src/inference/model_types';
import type { Manifest } from '../../apps/web/src/contract/generated';
import { checksumBytes } from '../../apps/web/src/bundle/storage/storage_checksum';
import { Engine, expect, opened, test as engineTest } from './engine';
import { largestError, positions, readFixtures, reference } from './fixtures';
import { openHungTab } from './hung_tab';
import { plainHost } from './servers';
import { startWeatherServer, type Fault, type WeatherServer } from './weather_server';

const test = engineTest.extend<{ host: WeatherServer }>({
  // eslint-disable-next-line no-empty-pattern -- Playwright reads from it what a fixture needs
  host: async ({}, use) => {
    const host = await startWeatherServer();
    await use(host);
    await host.close();
  },
});

// Each waits long, with a server of its own.
test.describe.configure({ mode: 'parallel' });

const manifest = JSON.parse(
  readFileSync(
    new URL('../../test-results/browser/published/tiny-gpt2/manifest.json', import.meta.url),
    'utf8',
  ),
) as Manifest;
const pieces = manifest.files.find(({ path }) => path === 'model.onnx.data')?.chunks ?? [];
/** One in the middle of the weights. */
const victim = pieces[pieces.length >> 1]?.path ?? '';
const isWeights = (file: string): boolean => pieces.some(({ path }) => path === file);

async function open(
  engine: Engine,
  { url }: WeatherServer,
  variant = 'fp32',
): Promise<OpenedModel> {
  return opened(await engine.open({ url, provider: 'wasm', variant }));
}

async function expectRightNumbers(engine: Engine): Promise<void> {
  const prompt = readFixtures('tiny-gpt2').prompt('sentence');
  const { lastLogits } = await engine.run({ ids: prompt.ids, reuseCache: false });
  const end = prompt.ids.length;
  const right = positions('logits', reference(prompt, 'logits'), end - 1, end);
  expect(largestError(lastLogits, right.data)).toBeLessThanOrEqual(1e-4);
}

/** Bytes of weights that went out, whatever became of them. */
function weightBytes({ sent }: WeatherServer): number {
  return sent.filter(({ file }) => isWeights(file)).reduce((sum, { bytes }) => sum + bytes, 0);
}

const wholeWeights = pieces.reduce((sum, { bytes }) => sum + bytes, 0);

test('the model comes in many pieces', () => {
  expect(pieces.length).toBeGreaterThan(8);
});

/** Faults that pass when asked again, with how many bytes of the weights then go out. */
const passing: [fault: Fault, bytes: 'once' | 'half again' | 'again' | 'unpacked'][] = [
  // What was on its way to the page when the line broke is lost.
  ['dropped', 'half again'],
  ['shorter', 'once'],
  ['error-500', 'once'],
  ['busy', 'once'],
  ['flipped', 'again'],
  ['longer', 'again'],
  // What the browser makes of it is its own affair, as long as the bytes are right.
  ['lying-gzip', 'unpacked'],
  ['drip', 'once'],
  ['redirect', 'once'],
];

test('what passes is waited out, and no byte travels twice that was right', async ({
  page,
  host,
}) => {
  test.slow();
  for (const [fault, bytes] of passing) {
    await test.step(fault, async () => {
      const seen = new Map<string, number>();
      const lost = pieces.reduce((sum, { bytes }, index) => sum + (index % 3 === 0 ? bytes : 0), 0);
      // Every third piece meets it, once.
      host.weather = (file) => {
        if (!isWeights(file) || pieces.findIndex(({ path }) => path === file) % 3 !== 0)
          return null;
        const turn = seen.get(file) ?? 0;
        seen.set(file, turn + 1);
        return turn === 0 ? fault : null;
      };
      const before = weightBytes(host);
      const engine = new Engine(page);
      await startAnew(engine, page);
      const model = await open(engine, host);
      expect(model.isKept).toBe(true);
      await expectRightNumbers(engine);
      const went = weightBytes(host) - before;
      if (bytes === 'once') expect(went).toBe(wholeWeights);
      if (bytes === 'again') expect(went).toBeGreaterThan(wholeWeights);
      if (bytes === 'half again') {
        expect(went).toBeGreaterThanOrEqual(wholeWeights);
        expect(went).toBeLessThan(wholeWeights + lost / 2);
        expect(host.sent.some(({ from }) => from > 0)).toBe(true);
      }
    });
  }
});

/** Faults that stay, what is said of them, and whether it is said at once. */
const staying: [fault: Fault, error: Partial<ModelErrorData>][] = [
  ['missing', { kind: 'not-found', status: 404 }],
  ['html', { kind: 'not-found', status: 200 }],
  ['flipped', { kind: 'integrity', path: victim }],
  ['busy-for-a-day', { kind: 'server', status: 429, retryAfterMs: 86_400_000 }],
  ['error-500', { kind: 'server', status: 500 }],
];

test('what stays is said in one error, and the next try fetches the rest alone', async ({
  page,
  host,
}) => {
  test.slow();
  for (const [fault, error] of staying) {
    await test.step(fault, async () => {
      host.weather = (file) => (file === victim ? fault : null);
      const engine = new Engine(page);
      await startAnew(engine, page);
      const outcome = await engine.open({ url: host.url, provider: 'wasm', variant: 'fp32' });
      expect(outcome).toMatchObject({ error });
      host.weather = () => null;
      // Pieces that were still asked for when the error came are all counted by then.
      await page.evaluate(async (url) => (await fetch(url)).text(), host.url);
      const before = host.sent.length;
      const model = await open(engine, host);
      expect(model.timings.keptBytes).toBeGreaterThan(0);
      const again = host.sent.slice(before).map(({ file }) => file);
      expect(new Set(again).size).toBe(again.length);
      expect(again).toContain(victim);
      await expectRightNumbers(engine);
    });
  }
});

test('a host that lets no other page read is told as that', async ({ engine, host }) => {
  host.weather = () => 'no-cors';
  const outcome = await engine.open({ url: host.url, provider: 'wasm' });
  // Where the page is isolated the browser hides even whether the host answers.
  expect('error' in outcome ? outcome.error.kind : 'opened').toMatch(/^(no-cors|network)$/);
  host.weather = () => null;
  await open(engine, host);
});

test('a connection that falls silent is made anew, and goes on where it was', async ({
  engine,
  host,
}) => {
  host.weather = (file, turn) => (file === victim && turn === 0 ? 'stuck' : null);
  await open(engine, host);
  expect(host.sent.filter(({ file }) => file === victim).map(({ from }) => from > 0)).toEqual([
    false,
    true,
  ]);
  expect(weightBytes(host)).toBe(wholeWeights);
  await expectRightNumbers(engine);
});

test('a tab that is closed on the way loses no whole piece', async ({ page, context, host }) => {
  const late = pieces.slice(-3).map(({ path }) => path);
  const sizes = pieces.map(
    ({ digest, bytes }) => [digest.slice(7), bytes + checksumBytes] as const,
  );
  host.weather = (file) => (late.includes(file) ? 'stuck' : null);
  const engine = new Engine(page);
  await engine.start();
  const opening = engine
    .open({ url: host.url, provider: 'wasm', variant: 'fp32' })
    .catch(() => null);
  await expect
    .poll(() => page.evaluate(countWholePieces, sizes), { timeout: 30_000 })
    .toBeGreaterThanOrEqual(pieces.length - late.length);
  await page.close();
  await opening;
  host.weather = () => null;
  const before = host.sent.length;
  const next = new Engine(await context.newPage());
  await next.start();
  await open(next, host);
  const again = host.sent.slice(before).map(({ file }) => file);
  expect(again.filter(isWeights).toSorted()).toEqual(late.toSorted());
  await expectRightNumbers(next);
});

test('two tabs share one download', async ({ context, page, host }) => {
  host.weather = (file) => (isWeights(file) ? 'drip' : null);
  const engines = [new Engine(page), new Engine(await context.newPage())];
  for (const engine of engines) await engine.start();
  await Promise.all(engines.map((engine) => open(engine, host)));
  const files = host.sent.map(({ file }) => file).filter(isWeights);
  expect(files.toSorted()).toEqual([...new Set(files)].toSorted());
  for (const engine of engines) await expectRightNumbers(engine);
});

test('a tab that waits for another goes on by itself when that one is closed', async ({
  context,
  page,
  host,
}) => {
  // The first tab's pieces stand still half way; whoever asks for one again gets it.
  host.weather = (file, turn) => (isWeights(file) && turn === 0 ? 'stuck' : null);
  const first = new Engine(page);
  await first.start();
  const opening = first.open({ url: host.url, provider: 'wasm', variant: 'fp32' });
  opening.catch(() => undefined);
  await expect
    .poll(() => host.sent.filter(({ file }) => isWeights(file)).length)
    .toBeGreaterThanOrEqual(6);
  host.weather = () => null;
  const second = new Engine(await context.newPage());
  await second.start();
  const waiting = open(second, host);
  const isWaiting = (): Promise<boolean> =>
    page.evaluate(async () => {
      const { pending } = await navigator.locks.query();
      return pending?.some(({ name }) => name?.startsWith('oriel-piece-')) ?? false;
    });
  await expect.poll(isWaiting).toBe(true);
  await page.close();
  await waiting;
  await expectRightNumbers(second);
});

test('a tab that hangs with pieces in its hands is waited for no longer than a line would be', async ({
  context,
  page,
  engine,
  host,
}) => {
  const held = pieces.slice(0, 6).map(({ digest }) => `oriel-piece-${digest}`);
  const hung = await openHungTab(context, page.url(), held);
  expect((await open(engine, host)).isKept).toBe(true);
  await expectRightNumbers(engine);
  const files = host.sent.map(({ file }) => file).filter(isWeights);
  expect(files.toSorted()).toEqual(pieces.map(({ path }) => path).toSorted());
  await hung.close();
});

test('what is kept opens without the host, and damage to it is mended', async ({ page, host }) => {
  const engine = new Engine(page);
  await engine.start();
  await open(engine, host);
  const whole = host.sent.length;
  expect(await page.evaluate(damagePieces)).toBeGreaterThan(8);
  await engine.start();
  const mended = await open(engine, host);
  expect(mended.timings.downloadedBytes).toBeGreaterThan(0);
  expect(host.sent.length).toBeGreaterThan(whole);
  await expectRightNumbers(engine);

  await engine.start();
  expect(await open(engine, host)).toMatchObject({
    ...{ isKept: true, keptSince: null },
    timings: { downloadedBytes: 0 },
  });
  // Another variant shares the tokenizer, and no weights.
  const { timings } = await open(engine, host, 'q8');
  expect(timings.keptBytes).toBeGreaterThan(100_000);
  await host.close();
  await engine.start();
  const offline = await open(engine, host);
  expect(offline.keptSince).not.toBeNull();
  await expectRightNumbers(engine);
});

test('storage that is cleared, or full, costs a download and nothing else', async ({
  page,
  context,
  host,
}) => {
  const engine = new Engine(page);
  await engine.start();
  await open(engine, host);
  await forgetAll(page);
  await engine.start();
  expect((await open(engine, host)).timings.keptBytes).toBe(0);
  // While the page stays open, too.
  await forgetAll(page);
  expect(await page.evaluate(() => client.cachedModels())).toEqual([]);
  expect(await open(engine, host)).toMatchObject({ isKept: true, timings: { keptBytes: 0 } });
  await engine.start();
  expect((await open(engine, host)).timings.downloadedBytes).toBe(0);
  await forgetAll(page);
  const devtools = await context.newCDPSession(page);
  const { origin } = new URL(page.url());
  await devtools.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 600_000 });
  await engine.start();
  const full = await open(engine, host);
  expect(full.isKept).toBe(false);
  await expectRightNumbers(engine);
  await devtools.send('Storage.overrideQuotaForOrigin', { origin });
});

test.describe('with room for one model', () => {
  // A built page keeps the runtime's files as well, for which there is no room then.
  test.use({ ownContext: true, baseURL: plainHost });

  test('where room is short, a model that was opened before goes', async ({
    page,
    context,
    host,
  }) => {
    const engine = new Engine(page);
    await engine.start();
    await open(engine, host, 'fp32');
    const devtools = await context.newCDPSession(page);
    const { origin } = new URL(page.url());
    // Room for either, with the records, and not for both.
    await devtools.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 2_900_000 });
    const other = await startWeatherServer();
    await engine.start();
    const model = await open(engine, other, 'f16');
    await expectAbout(engine);
    expect(model.isKept).toBe(true);
    const models = await page.evaluate(() => client.cachedModels());
    expect(models?.map(({ url }) => url)).toEqual([other.url]);
    expect(models?.[0]?.bytes).toBeGreaterThan(800_000);
    await devtools.send('Storage.overrideQuotaForOrigin', { origin });
    await other.close();
  });
});

test('a new version fetches what differs, and the old one is known as old', async ({
  page,
  host,
}) => {
  const engine = new Engine(page);
  await engine.start();
  await open(engine, host);
  host.publish('1.1.0');
  await engine.start();
  const model = await open(engine, host);
  expect(model.manifest.version).toBe('1.1.0');
  expect(model.timings.downloadedBytes).toBe(0);
  expect(weightBytes(host)).toBe(wholeWeights);
  const models = await page.evaluate(() => client.cachedModels());
  expect(models?.map(({ version, superseded }) => [version, superseded])).toEqual([
    ['1.1.0', false],
    ['1.0.0', true],
  ]);
});

test('a manifest that comes by drops keeps nobody waiting who has a copy', async ({
  engine,
  host,
}) => {
  await open(engine, host);
  await engine.start();
  host.weather = (file) => (file === 'manifest.json' ? 'drip-without-end' : null);
  const model = await open(engine, host);
  expect(model.keptSince).not.toBeNull();
  await expectRightNumbers(engine);
});

test('a tab that hangs keeps no other from opening a model and keeping it', async ({
  context,
  page,
  engine,
  host,
}) => {
  await openHungTab(context, page.url(), ['oriel-shelf']);
  expect((await open(engine, host)).isKept).toBe(true);
  await expectRightNumbers(engine);
  const models = await page.evaluate(() => client.cachedModels());
  expect(models?.map(({ url }) => url)).toEqual([host.url]);
});

async function expectAbout(engine: Engine): Promise<void> {
  const { lastLogits } = await engine.run({ ids: [1, 2, 3], reuseCache: false });
  expect(lastLogits.every(Number.isFinite)).toBe(true);
}

/** Start the engine with nothing kept. Its worker opens the storage at once, so that is emptied on a page without one. */
async function startAnew(engine: Engine, page: Page): Promise<void> {
  await page.goto('engine_test.html');
  await forgetAll(page);
  await engine.start();
}

/** Everything that the browser keeps for the page, as when a visitor clears it. */
async function forgetAll(page: Page): Promise<void> {
  await page.evaluate(async () => {
    const root = await navigator.storage.getDirectory();
    await root.removeEntry('oriel', { recursive: true }).catch(() => undefined);
  });
}

/** Of files by their names and sizes; a file is there before its bytes are. */
async function countWholePieces(sizes: readonly (readonly [string, number])[]): Promise<number> {
  const root = await navigator.storage.getDirectory();
  const folder = await root.getDirectoryHandle('oriel').catch(() => null);
  const kept = await folder?.getDirectoryHandle('pieces').catch(() => null);
  let count = 0;
  for (const [name, size] of sizes) {
    const file = await kept?.getFileHandle(name).catch(() => null);
    if ((await file?.getFile())?.size === size) count += 1;
  }
  return count;
}

/** Changes a byte of every piece that is kept, and cuts the first; returns how many. */
async function damagePieces(): Promise<number> {
  const root = await navigator.storage.getDirectory();
  const folder = await (await root.getDirectoryHandle('oriel')).getDirectoryHandle('pieces');
  let count = 0;
  for await (const handle of folder.values()) {
    if (handle.kind !== 'file') continue;
    const bytes = new Uint8Array(await (await handle.getFile()).arrayBuffer());
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    const writing = await handle.createWritable();
    await writing.write(count++ === 0 ? bytes.subarray(1) : bytes);
    await writing.close();
  }
  return count;
}
