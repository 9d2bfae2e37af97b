// From publish.py to a visitor without a network: the built page opens a model from nginx and from an S3 server, answers
// with PyTorch's numbers, and does so again when both servers and the page's own host are gone.
import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect as plainExpect } from '@playwright/test';
import { readFixtures, type Prompt } from './fixtures';
import { expectRightAnswer } from './right_answer';
import { answered, isolationHeaders, keptPaths, test } from './site';

const expect = plainExpect.configure({ timeout: 60_000 });
const root = fileURLToPath(new URL('../..', import.meta.url));

interface Servers {
  readonly process: ChildProcess;
  readonly addresses: Readonly<Record<string, string>>;
}

async function startServers(): Promise<Servers> {
  const python = process.env['ORIEL_PYTHON'] ?? '.venv/bin/python';
  const script = ['tests/browser/serve_published.py', 'apps/web/static/models/demo'];
  const child = spawn(python, script, { cwd: root, stdio: ['pipe', 'pipe', 'inherit'] });
  const line = await new Promise<string>((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (data: Buffer) => {
      text += data.toString();
      if (text.includes('\n')) resolve(text);
    });
    child.on('exit', (code) => {
      reject(new Error(`serve_published.py ended with ${String(code)}`));
    });
  });
  return { process: child, addresses: JSON.parse(line) as Record<string, string> };
}

function stop({ process: child }: Servers): Promise<void> {
  return new Promise((resolve) => {
    child.on('exit', () => {
      resolve();
    });
    child.stdin?.end();
  });
}

test('a model published to nginx and to S3 opens from both, and then with the network off', async ({
  page,
  context,
  host,
}) => {
  test.slow();
  const [sentence, single] = ['sentence', 'single'].map((name) =>
    readFixtures('demo').prompt(name),
  );
  if (sentence === undefined || single === undefined) throw new Error('prompts are missing');
  const servers = await startServers();
  const site = await host({ headers: isolationHeaders });
  const addressOf = (model: string, prompt: Prompt): string =>
    `${site.url}?model=${encodeURIComponent(model)}#lang=en&on=wasm&p=${encodeURIComponent(prompt.text ?? '')}`;
  const models = Object.entries(servers.addresses);
  expect(models.map(([name]) => name)).toEqual(['nginx', 'S3']);
  try {
    for (const [name, address] of models) {
      await test.step(name, async () => {
        await page.goto(addressOf(address, sentence));
        await answered(page);
        await expectRightAnswer(page, sentence);
      });
    }
    await expect.poll(() => keptPaths(page)).toContainEqual(expect.stringMatching(/\.wasm$/));
    await expect
      .poll(() => page.evaluate(() => navigator.serviceWorker.controller !== null))
      .toBe(true);
  } finally {
    await stop(servers);
  }
  await context.setOffline(true);
  await site.close();
  for (const [name, address] of models) {
    await test.step(`${name}, without a network`, async () => {
      // Another query is another page, so it is loaded anew.
      await page.goto(addressOf(address, single));
      await answered(page);
      await expectRightAnswer(page, single);
      await expect(page.getByTestId('kept-since')).toBeVisible();
    });
  }
});
