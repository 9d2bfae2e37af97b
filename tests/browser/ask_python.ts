// Runs one of the Python scripts beside the browser tests, which say what PyTorch or a peer library makes of something.
import { execFileSync } from 'node:child_process';
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

/** Run a script of this folder with an input, and return the JSON that it prints. Throws where it fails. */
export function askPython(script: string, given: readonly string[] = [], input = ''): unknown {
  const python = join(root, process.env['ORIEL_PYTHON'] ?? '.venv/bin/python');
  const printed = execFileSync(python, [join(root, 'tests/browser', script), ...given], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, HF_HUB_OFFLINE: '1', OMP_NUM_THREADS: '1' },
    input,
    maxBuffer: 2 ** 28,
    // What it says of an error is in the message of the one that is thrown.
    stdio: 'pipe',
  });
  return JSON.parse(printed);
}
