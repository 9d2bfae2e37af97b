// A conversation in the model's own chat template: shown as it will be read, with its special tokens as such, and run as
// transformers runs it; a template that never ends is stopped.
import { expect as plainExpect, type Page } from '@playwright/test';
import { askPython, checkpoints } from './ask_python';
import { startBundleServer, type BundleServer } from './bundle_server';
import { offer } from './offered_models';
import { test } from './shared_context';
import { expectCandidates } from './shown_prediction';

const expect = plainExpect.configure({ timeout: 60_000 });
const SYSTEM = 'Be short.';
const USER = 'Why <b>did</b> the ferry leave?';

interface Chat {
  readonly text: string;
  readonly ids: readonly number[];
  readonly special: readonly number[];
  readonly next: readonly number[];
}

let bundles: BundleServer;
test.beforeAll(async () => {
  bundles = await startBundleServer();
});
test.afterAll(async () => {
  await bundles.close();
});

async function visit(page: Page): Promise<void> {
  await offer(page, { model: bundles.url('tiny-gpt2') });
  await page.goto('/#lang=en&on=wasm&model=model&v=fp32&p=The+ferry');
  await page.getByTestId('chat').locator('summary').click();
}

test('a conversation is shown as its template writes it, and runs as in transformers', async ({
  page,
}) => {
  const messages = [
    { role: 'system', content: SYSTEM },
    { role: 'user', content: USER },
  ];
  const right = askPython(
    'read_chat.py',
    [checkpoints['tiny-gpt2']],
    JSON.stringify(messages),
  ) as Chat;
  await visit(page);
  await page.getByTestId('chat-system').fill(SYSTEM);
  await page.getByTestId('chat-user').fill(USER);
  const text = page.getByTestId('chat-text');
  await expect(text).toHaveText(right.text, { useInnerText: false });
  expect(await text.textContent()).toBe(right.text);
  await expect(text.locator('mark')).toHaveCount(right.special.length);
  // What strangers write stays text.
  await expect(text.locator('b')).toHaveCount(0);

  await page.getByTestId('chat-use').click();
  await expect(page.getByTestId('token-count')).toHaveText(new RegExp(`^${right.ids.length} `));
  // Chips are drawn a frame later.
  const ids = page.locator('.chip .id');
  await expect.poll(async () => (await ids.allTextContents()).map(Number)).toEqual(right.ids);
  await expect(page.locator('main')).toHaveAttribute('aria-busy', 'false');
  await expectCandidates(page, right.next);

  // The link has the text as it was rendered, and the way back is one step.
  const link = new URLSearchParams(new URL(page.url()).hash.slice(1));
  expect(link.get('p')).toBe(right.text);
  await page.getByTestId('undo').click();
  await expect(page.locator('#prompt')).toHaveValue('The ferry');
});

test('a template that runs for ever is stopped, and the next message is read', async ({ page }) => {
  await visit(page);
  await page.getByTestId('chat-user').fill('for ever');
  await expect(page.getByTestId('chat-trouble')).toContainText('stopped after 2 seconds');
  await expect(page.getByTestId('chat-use')).toBeDisabled();
  await page.getByTestId('chat-user').fill('Hello');
  await expect(page.getByTestId('chat-text')).toContainText('user: Hello');
  await expect(page.getByTestId('chat-use')).toBeEnabled();
});
