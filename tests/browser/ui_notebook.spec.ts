// oriel.show in a notebook: the display asks Python and shows PyTorch's numbers; an executed notebook shows the same views
// when its export is opened again without a kernel and without a network.
import { execFileSync, spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createInterface, type Interface } from 'node:readline';
import { dirname } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect as plainExpect, type FrameLocator } from '@playwright/test';
import { softmax } from '../../apps/web/src/analysis/probabilities';
import { largestError, readFixtures, reference } from './fixtures';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 60_000 });
const root = fileURLToPath(new URL('../..', import.meta.url));
const python = process.env['ORIEL_PYTHON'] ?? '.venv/bin/python';
const bundle = `${root}apps/web/static/models/demo`;
const packages = process.env['ORIEL_NOTEBOOK'];

const sentence = readFixtures('demo').prompt('sentence');
const whole = reference(sentence, 'logits');
const baseline = softmax(whole.data.slice(-(whole.dims.at(-1) ?? 0)));

async function expectPrediction(frame: FrameLocator, right: Float64Array): Promise<void> {
  const error = async (): Promise<number> => {
    const shown = await frame
      .getByTestId('candidate')
      .evaluateAll((rows: HTMLElement[]) =>
        rows.map(({ dataset }) => [Number(dataset['id']), Number(dataset['probability'])] as const),
      );
    if (shown.length === 0) return 1;
    return largestError(
      shown.map(([, probability]) => probability),
      shown.map(([id]) => right[id] ?? NaN),
    );
  };
  await expect.poll(error).toBeLessThan(1e-4);
}

/** Python, which shows a text and answers a question a line. */
class Kernel {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;

  constructor(prompt: string) {
    this.#process = spawn(python, ['tests/browser/answer_questions.py', bundle, prompt], {
      cwd: root,
      env: { ...process.env, PYTHONPATH: `${root}tools/model-export`, OMP_NUM_THREADS: '1' },
    });
    this.#reader = createInterface({ input: this.#process.stdout });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  async read(): Promise<unknown> {
    const line = await this.#lines.next();
    if (line.done === true) throw new Error('Python ended');
    return JSON.parse(line.value) as unknown;
  }

  ask(question: unknown): Promise<unknown> {
    this.#process.stdin.write(`${JSON.stringify(question)}\n`);
    return this.read();
  }

  close(): void {
    this.#reader.close();
    this.#process.kill();
  }
}

test('a display asks Python for another text and for a head that is off', async ({
  page,
}, info) => {
  const kernel = new Kernel('Once upon a time');
  try {
    const { token, html, script } = (await kernel.read()) as Record<string, string>;
    // A notebook's document: the output's HTML, and the widget's script once the kernel is there.
    const file = info.outputPath('notebook.html');
    writeFileSync(file, `<!doctype html><html lang="en"><title>N</title>${html ?? ''}</html>`);
    await page.goto(pathToFileURL(file).href);
    const frame = page.frameLocator('iframe');
    await expect(frame.getByTestId('candidate').first()).toBeVisible();
    // Without a kernel there is nothing to ask.
    await expect(frame.getByTestId('python-text')).toHaveCount(0);
    await expect(frame.getByTestId('toggle-head')).toBeDisabled();
    await page.exposeFunction('askPython', (content: { question: unknown }) =>
      kernel.ask(content.question),
    );
    await page.evaluate(
      async ({ source, ofToken }) => {
        const address = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
        const { initialize } = (await import(address)) as {
          initialize: (given: { model: unknown }) => void;
        };
        const hear: ((content: unknown) => void)[] = [];
        const { askPython } = window as unknown as {
          askPython: (content: unknown) => Promise<unknown>;
        };
        const send = (content: unknown): void =>
          void askPython(content).then((answer) => {
            for (const each of hear) each(answer);
          });
        const on = (_: string, each: (content: unknown) => void): number => hear.push(each);
        initialize({ model: { get: () => ofToken, send, on } });
      },
      { source: script ?? '', ofToken: token ?? '' },
    );
    const text = frame.getByTestId('python-text');
    await expect(text).toHaveValue('Once upon a time');
    await text.fill(sentence.text ?? '');
    await frame.getByTestId('python-run').click();
    await expectPrediction(frame, baseline);
    await expect(frame.locator('.chip')).toHaveCount(sentence.ids.length);
    // The head that the display was asked to show first.
    await expect(frame.getByTestId('shown-head')).toContainText('5');
    await frame.getByTestId('toggle-head').click();
    await expect(frame.getByTestId('saved-edits').locator('li')).toHaveCount(1);
    // PyTorch's numbers for a head that is off: test_show.py. Here the display shows both answers.
    await expect(frame.getByTestId('toggle-head')).toHaveAttribute('aria-pressed', 'true');
    await frame.getByTestId('show-baseline').selectOption('baseline');
    await expectPrediction(frame, baseline);
    // What Python refuses stands in a line, and the last answer stays.
    await text.fill('word '.repeat(400));
    await frame.getByTestId('python-run').click();
    await expect(frame.getByTestId('python-state')).toContainText('Python did not answer:');
    await expectPrediction(frame, baseline);
  } finally {
    kernel.close();
  }
});

test('an executed notebook shows its views again without a kernel', async ({ page }, info) => {
  test.skip(packages === undefined, 'make test-notebook installs Jupyter');
  test.setTimeout(480_000);
  const file = info.outputPath('notebook.html');
  execFileSync(
    python,
    ['tests/browser/run_notebook.py', bundle, sentence.text ?? '', dirname(file)],
    {
      cwd: root,
      env: {
        ...process.env,
        PYTHONPATH: `${packages ?? ''}:${root}tools/model-export`,
        OMP_NUM_THREADS: '1',
        // Where nbconvert finds its templates.
        JUPYTER_PATH: `${packages ?? ''}/share/jupyter`,
        IPYTHONDIR: info.outputPath('ipython'),
      },
    },
  );
  await page.route('**/*', async (route) => {
    if (route.request().url().startsWith('http')) await route.abort();
    else await route.continue();
  });
  await page.goto(pathToFileURL(file).href);
  const frame = page.frameLocator('iframe[data-oriel]');
  await expectPrediction(frame, baseline);
  await frame.getByTestId('attention').scrollIntoViewIfNeeded();
  await expect(frame.getByTestId('shown-head')).toContainText('Layer 5, head 2');
  await expect(frame.getByTestId('python-text')).toHaveCount(0);
});
