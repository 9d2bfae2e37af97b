// Hosts that accept a request and never answer it, for each thing that the page asks for at its start: no wait is without
// end, each says what is missing, and each has a way on.
import { expect as plainExpect, type Page } from '@playwright/test';
import { answered } from './drawn_claims';
import { readFixtures } from './fixtures';
import { expectRightAnswer } from './right_answer';
import { isolated, silentPort } from './servers';
import { test as base } from './shared_context';
import { startSilentServer, type Limits, type SilentServer } from './silent_server';

const expect = plainExpect.configure({ timeout: 60_000 });
const prompt = readFixtures('demo').prompt('sentence');

interface Fixtures {
  readonly silent: (
    isSilent: (path: string, destination: string) => boolean | 'empty',
    limits?: Limits,
    prelude?: string,
  ) => Promise<SilentServer>;
}

const test = base.extend<Fixtures>({
  // eslint-disable-next-line no-empty-pattern -- Playwright reads from it what a fixture needs
  silent: async ({}, use) => {
    const started: SilentServer[] = [];
    await use(async (isSilent, limits = {}, prelude = '') => {
      const short = {
        attempts: 2,
        stallMs: 3000,
        firstWaitMs: 20,
        list: 3000,
        quietRuntime: 500,
        ...limits,
      };
      // At the same address, the browser has the runtime compiled from the test before.
      const port = silentPort(test.info().parallelIndex);
      const server = await startSilentServer(isolated, isSilent, short, prelude, port);
      started.push(server);
      return server;
    });
    await Promise.all(started.map((server) => server.close()));
  },
});

// Each waits long, with a server of its own.
test.describe.configure({ mode: 'parallel' });

function hash(more: Readonly<Record<string, string>> = {}): string {
  const fields = { lang: 'en', on: 'wasm', p: prompt.text ?? '', ...more };
  return `#${new URLSearchParams(fields).toString()}`;
}

const isList = (path: string): boolean => path.startsWith('/models/index.json');

async function expectAlert(page: Page, kind: string, says: RegExp): Promise<void> {
  const alert = page.getByRole('alert');
  await expect(alert).toHaveCount(1);
  await expect(alert).toHaveAttribute('data-kind', kind);
  await expect(alert).toContainText(says);
}

async function tryAgain(page: Page, server: SilentServer): Promise<void> {
  expect(server.asked).toBeGreaterThan(0);
  server.speak();
  await page.getByRole('alert').getByRole('button', { name: 'Try again' }).click();
  await expectRightAnswer(page, prompt);
  await expect(page.getByRole('alert')).toHaveCount(0);
}

test('without the list of models the page opens its own, says so, and can ask again', async ({
  page,
  silent,
}) => {
  const server = await silent(isList);
  await page.goto(server.url + hash());
  await expect(page.getByRole('progressbar')).toBeVisible();
  await expect(page.getByTestId('variant-bar')).toContainText('Looking up which models there are');
  await expectRightAnswer(page, prompt);
  const note = page.getByTestId('list-missing');
  await expect(note).toContainText('models/index.json');
  await page.getByRole('button', { name: '中文' }).click();
  await expect(note).toContainText('没有收到模型列表');
  server.speak();
  await note.getByRole('button').click();
  await expect(note).toHaveCount(0);
  await expectRightAnswer(page, prompt);
});

test('a link to a model of the list says that the list is missing, and trying again opens it', async ({
  page,
  silent,
}) => {
  const server = await silent(isList);
  await page.goto(server.url + hash({ model: 'demo' }));
  await expectAlert(page, 'stalled', /models\/index\.json/);
  await tryAgain(page, server);
});

test('waiting for the list can be stopped', async ({ page, silent }) => {
  const server = await silent(isList, { list: 600_000 });
  await page.goto(server.url + hash());
  await page.getByRole('button', { name: 'Stop' }).click();
  await expectAlert(page, 'aborted', /stopped/);
  server.speak();
  await page.reload();
  await expectRightAnswer(page, prompt);
});

test('a link that names its model by address needs no list', async ({ page, silent }) => {
  const server = await silent(isList, { list: 600_000 });
  const address = encodeURIComponent('models/demo/manifest.json');
  await page.goto(`${server.url}?model=${address}${hash()}`);
  await expectRightAnswer(page, prompt);
  expect(server.asked).toBeGreaterThan(0);
});

/** What the model's own opening asks for, what the page then says of it, and the limits that it takes. */
const files: [what: string, path: RegExp, kind: string, says: RegExp, limits?: Limits][] = [
  ['manifest', /demo\/manifest\.json/, 'stalled', /demo\/manifest\.json/],
  ['tokenizer', /demo\/tokenizer\.json/, 'stalled', /demo\/tokenizer\.json/],
  ['runtime', /ort-wasm-simd-threaded\.wasm$/, 'stalled', /ort-wasm-simd-threaded\.wasm/],
  [
    'loader of the runtime',
    /ort-wasm-simd-threaded\.mjs$/,
    'stalled',
    /ort-wasm-simd-threaded\.mjs/,
  ],
  ['worker', /model\.worker-/, 'hung', /did not start/, { worker: 4000 }],
];

for (const [what, path, kind, says, limits] of files) {
  test(`the ${what} that never comes is told of, and trying again opens the model`, async ({
    page,
    silent,
  }) => {
    const server = await silent((asked) => path.test(asked), limits);
    await page.goto(server.url + hash());
    await expectAlert(page, kind, says);
    if (what !== 'worker') await tryAgain(page, server);
    else {
      // Its limit is too short for a worker that has to be compiled first.
      expect(server.asked).toBeGreaterThan(0);
      await expect(
        page.getByRole('alert').getByRole('button', { name: 'Try again' }),
      ).toBeVisible();
    }
  });
}

test('where threads do not start the runtime has one, and the page says so', async ({
  page,
  silent,
}) => {
  test.skip((await page.evaluate(() => navigator.hardwareConcurrency)) < 2);
  const isThread = (path: string, destination: string): false | 'empty' =>
    destination === 'worker' && path.endsWith('ort-wasm-simd-threaded.mjs') && 'empty';
  const server = await silent(isThread, { runtime: 12_000 });
  await page.goto(server.url + hash());
  await expect(page.getByTestId('variant-bar')).toContainText('starting it with one');
  await expectRightAnswer(page, prompt);
  await expect(page.getByTestId('threads-failed')).toContainText('runs on one');
  expect(server.asked).toBeGreaterThan(0);
});

const never = '() => new Promise(() => {})';
const heardAll = (): boolean => false;

/** Of the list of a folder each entry is asked for. */
const neverListed = `() => ({ next: ${never}, [Symbol.asyncIterator]() { return this; } })`;

/** Each question to the browser's storage that may stay without an answer, what is overwritten for it, and whether what
 * is kept can be listed all the same. */
const silentStorage: [question: string, method: string, isListed: boolean | null, by?: string][] = [
  ['its root', 'StorageManager.prototype.getDirectory', false],
  ['a folder', 'FileSystemDirectoryHandle.prototype.getDirectoryHandle', false],
  ['the list of a folder', 'FileSystemDirectoryHandle.prototype.values', false, neverListed],
  ['a file', 'FileSystemDirectoryHandle.prototype.getFileHandle', true],
  ['access to a file', 'FileSystemFileHandle.prototype.createSyncAccessHandle', true],
  // Listed where no file was written, as the record that comes first may not be.
  ['what a file holds', 'FileSystemFileHandle.prototype.getFile', null],
  ['a lock', 'LockManager.prototype.request', false],
];

for (const [question, method, isListed, by = never] of silentStorage) {
  test(`storage that is silent when asked for ${question} keeps no model from opening`, async ({
    page,
    silent,
  }) => {
    const [asked = '', name = ''] = method.split(/\.(?=\w+$)/);
    const prelude = `${asked}[${JSON.stringify(name)}] = ${by};\n`;
    // As on a real page the list may take longer than a turn of the list of cached models, which a silent writer does not end.
    const server = await silent(heardAll, { storage: 400, modelCache: 8000 }, prelude);
    await page.goto(server.url + hash());
    await expectRightAnswer(page, prompt);
    await expect(page.getByRole('alert')).toHaveCount(0);
    const kept = page.getByTestId('kept');
    if (isListed === null) await expect(kept).toContainText(/browser grants|does not answer/);
    else if (isListed) await expect(kept).toContainText('browser grants');
    else await expect(kept).toContainText('its storage does not answer');
    // Another variant takes files of its own, and asks what is kept before it closes what is open.
    await page.getByTestId('variants-toggle').click();
    await page.getByTestId('variant-q8').getByRole('button').click();
    await expect(page.getByTestId('variant-bar')).toContainText(/q8 on WebAssembly/);
    await answered(page, prompt.ids.length);
    // At the next visit there may be something that was kept, which is looked up first.
    await page.reload();
    await expect(page.getByTestId('variant-bar')).toContainText(/q8 on WebAssembly/);
    await answered(page, prompt.ids.length);
  });
}

test('storage that is silent about its size keeps nothing from being listed and removed', async ({
  page,
  silent,
}) => {
  const prelude = `
    for (const name of ['estimate', 'persisted']) StorageManager.prototype[name] = ${never};
    if (globalThis.Permissions) Permissions.prototype.query = ${never};
  `;
  const server = await silent(heardAll, { storage: 400 }, prelude);
  await page.goto(server.url + hash());
  await expectRightAnswer(page, prompt);
  await expect(page.getByTestId('kept-model')).toHaveCount(1);
  await expect(page.getByTestId('kept-persistence')).toContainText('does not say');
  await page.getByTestId('kept-model').getByRole('button', { name: 'Remove' }).click();
  await page.getByTestId('kept-remove-yes').click();
  await expect(page.getByTestId('kept-none')).toBeVisible();
});

test('a removal that the storage does not answer is told to have failed', async ({
  page,
  silent,
}) => {
  const prelude = `FileSystemDirectoryHandle.prototype.removeEntry = ${never};\n`;
  const server = await silent(heardAll, { modelCache: 1500 }, prelude);
  await page.goto(server.url + hash());
  await expectRightAnswer(page, prompt);
  await page.getByTestId('kept-model').getByRole('button', { name: 'Remove' }).click();
  await page.getByTestId('kept-remove-yes').click();
  await expect(page.getByTestId('kept').getByRole('alert')).toContainText('could not be removed');
});

const noAdapter = {
  english: 'no graphics adapter answered',
  chinese: '没有可用的图形适配器',
  choice: {
    english: /^No graphics adapter answered here;/,
    chinese: /^这里没有可用的图形适配器，/,
  },
};
const noWebGpu = {
  english: 'this browser has no WebGPU',
  chinese: '浏览器不支持 WebGPU',
  choice: { english: /^No WebGPU here;/, chinese: /^这里没有 WebGPU，/ },
};

/** Ways in which a browser has no GPU to offer, its `navigator.gpu` then, and the reason that the page gives. */
const withoutGpu: [how: string, gpu: string, reason: typeof noAdapter][] = [
  ['never answers', `{ requestAdapter: ${never} }`, noAdapter],
  ['has no adapter', '{ requestAdapter: async () => null }', noAdapter],
  ['refuses its adapter', "{ requestAdapter: () => Promise.reject(new Error('no')) }", noAdapter],
  ['is unknown to it', 'undefined', noWebGpu],
];

for (const [how, gpu, { english, chinese, choice }] of withoutGpu) {
  const prelude = `Object.defineProperty(navigator, 'gpu', { value: ${gpu} });\n`;

  test(`where the browser’s GPU ${how} the page says why it uses WebAssembly`, async ({
    page,
    silent,
  }) => {
    const server = await silent(heardAll, { adapter: 500 }, prelude);
    await page.goto(server.url + hash({ on: 'auto' }));
    await expectRightAnswer(page, prompt);
    const facts = page.getByTestId('facts');
    await facts.scrollIntoViewIfNeeded();
    await expect(page.getByTestId('provider-fact')).toContainText('WebAssembly');
    await expect(facts).toContainText(`because ${english}`);
    const chosen = page.getByTestId('choice-reason');
    await page.getByText('Runs as fp32 on WebAssembly').click();
    await expect(chosen).toBeVisible();
    await expect(chosen).toHaveText(choice.english);
    await page.getByRole('button', { name: '中文' }).click();
    await expect(facts).toContainText(`因为${chinese}`);
    await expect(chosen).toHaveText(choice.chinese);
  });

  test(`a link that asks for WebGPU where it ${how} says why it cannot be had`, async ({
    page,
    silent,
  }) => {
    const server = await silent(heardAll, { adapter: 500 }, prelude);
    await page.goto(server.url + hash({ on: 'webgpu' }));
    const alert = page.getByRole('alert');
    await expect(alert).toHaveAttribute('data-kind', 'provider-unavailable');
    await expect(alert).toContainText(`WebGPU cannot run this model here: ${english}.`);
    await page.getByRole('button', { name: '中文' }).click();
    await expect(alert).toContainText(`WebGPU 在这里无法运行这个模型：${chinese}。`);
    await page.getByTestId('language').click();
    await alert.getByRole('button', { name: 'Use WebAssembly instead' }).click();
    await expectRightAnswer(page, prompt);
  });
}
