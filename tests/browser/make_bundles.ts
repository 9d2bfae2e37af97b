// Before all browser tests: the bundles that they open, and what PyTorch says is right.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Make them, unless what they are made from is unchanged since. */
export default function makeBundles(): void {
  execFileSync(process.env['ORIEL_PYTHON'] ?? '.venv/bin/python', ['scripts/browser_bundles.py'], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    stdio: ['ignore', 'inherit', 'inherit'],
  });
}
