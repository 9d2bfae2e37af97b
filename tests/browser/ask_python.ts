// Runs one of the Python scripts beside the browser tests, which say what PyTorch or a peer library makes of something.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Checkpoints of models that the tests' pages open. */
export const checkpoints = {
  demo: join(root, 'tools/model-export/oriel/models/demo/weights'),
  'tiny-bert': join(root, 'test-results/browser/checkpoints/tiny-bert'),
  'tiny-bert-texts': join(root, 'test-results/browser/checkpoints/tiny-bert-texts'),
  'tiny-bert-tokens': join(root, 'test-results/browser/checkpoints/tiny-bert-tokens'),
  'tiny-gpt2': join(root, 'test-results/browser/checkpoints/tiny-gpt2'),
  'tiny-llama': join(root, 'test-results/browser/checkpoints/tiny-llama'),
  'tiny-mixtral': join(root, 'test-results/browser/checkpoints/tiny-mixtral'),
} as const;

const python = join(root, process.env['ORIEL_PYTHON'] ?? '.venv/bin/python');
const server = join(root, 'tests/browser/script_server.py');
const env = { ...process.env, HF_HUB_OFFLINE: '1', OMP_NUM_THREADS: '1' };
let socket: string | undefined;

/** Start the process that runs scripts, once for a worker of Playwright; it ends with the worker. */
function socketOfServer(): string {
  if (socket !== undefined) return socket;
  const folder = mkdtempSync(join(tmpdir(), 'oriel-scripts-'));
  process.on('exit', () => {
    rmSync(folder, { recursive: true, force: true });
  });
  socket = join(folder, 'socket');
  // It ends when the pipe to its standard input does.
  const child = spawn(python, [server, socket], { env, stdio: ['pipe', 'ignore', 'inherit'] });
  child.unref();
  return socket;
}

interface Answer {
  readonly code: number;
  readonly output: string;
  readonly errors: string;
}

/** Run a program with words and an input, and return what it prints. Throws where it fails. */
export function runPython(
  file: string,
  words: readonly string[] = [],
  { input = '', folder = root } = {},
): string {
  const request = { script: file, arguments: words, input, folder };
  // Without the packages of the environment it starts in a moment.
  const printed = execFileSync(python, ['-I', '-S', server, socketOfServer(), '--ask'], {
    encoding: 'utf8',
    input: `${JSON.stringify(request)}\n`,
    maxBuffer: 2 ** 28,
  });
  const { code, output, errors } = JSON.parse(printed) as Answer;
  if (code !== 0) throw new Error(`${file} ended with ${code}: ${errors.slice(-4000)}`);
  return output;
}

/** Run a script of this folder with an input, and return the JSON that it prints. Throws where it fails. */
export function askPython(script: string, given: readonly string[] = [], input = ''): unknown {
  return JSON.parse(runPython(join(root, 'tests/browser', script), given, { input }));
}
