// Before all browser tests: exports the bundles they open, and lets PyTorch write down what is right.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const demoCheckpoint = 'tools/model-export/oriel/models/demo/weights';
const made = 'test-results/browser';

/** What decides about the graphs that an export writes. */
const graphSources = [
  'contracts/activations.json',
  'contracts/manifest.schema.json',
  ...['capture', 'graph', 'precision'].map((part) => `tools/model-export/oriel/${part}`),
];

const precisions = ['fp32', 'f16', 'q8', 'q4', 'fp16', 'int8', 'int8_static', 'int4'];
/** Random weights take rounding badly. */
const everyVariant = ['--precision', precisions.join(','), '--allow-lossy'];

/** Checkpoints that a test makes for itself, small enough for a software GPU. */
const tinyModels = ['tiny-gpt2', 'tiny-llama', 'long-gpt2'];

export default function makeBundles(): void {
  const demoWeights = join(demoCheckpoint, 'model.safetensors');
  // It sees for itself whether the bundle is already that of these weights, in every variant.
  python('scripts/demo_bundle.py');
  const script = 'tests/fixtures/make_browser_fixtures.py';
  const demoFixtures = `${made}/fixtures/demo`;
  if (isOlder(`${demoFixtures}/fixtures.json`, demoWeights, script)) {
    python(script, '--checkpoint', demoCheckpoint, '--output', demoFixtures);
  }
  const published = `${made}/published/demo`;
  const publishing = ['publishing', 'bundle'].map((part) => `tools/model-export/oriel/${part}`);
  const demo = 'apps/web/static/models/demo';
  const firstPrompt = 'contracts/first_prompt.json';
  if (isOlder(`${published}/manifest.json`, `${demo}/manifest.json`, firstPrompt, ...publishing)) {
    rmSync(join(root, published), { recursive: true, force: true });
    python('tools/model-export/publish.py', demo, '--to', published, '--version', '1.0.0');
  }
  for (const name of tinyModels) {
    const fixtures = `${made}/fixtures/${name}`;
    const checkpoint = `${made}/checkpoints/${name}`;
    const bundle = `${made}/bundles/${name}/model.onnx`;
    if (isOlder(`${fixtures}/fixtures.json`, script)) {
      const making = ['--make', name, '--tokenizer-from', demoCheckpoint];
      python(script, '--checkpoint', checkpoint, ...making, '--output', fixtures);
    }
    if (isOlder(bundle, `${checkpoint}/config.json`, ...graphSources)) {
      const exporting = ['--model', checkpoint, '--layers', '0,1', '--output', bundle, '--force'];
      const more = name === 'tiny-gpt2' ? everyVariant : [];
      python('tools/model-export/export.py', ...exporting, ...more);
    }
  }
  makeDeepModel();
  makeBareModels();
  publishInPieces();
}

/** A model whose attention maps are more than a page can hold, for which nothing has to be right but that. */
function makeDeepModel(): void {
  const checkpoint = `${made}/checkpoints/deep-gpt2`;
  const bundle = `${made}/bundles/deep-gpt2/model.onnx`;
  const script = 'tests/fixtures/make_browser_fixtures.py';
  if (!isOlder(bundle, script, ...graphSources)) return;
  python(script, '--checkpoint', checkpoint, '--make', 'deep-gpt2');
  const exporting = ['--model', checkpoint, '--layers', '0,47', '--output', bundle, '--force'];
  python('tools/model-export/export.py', ...exporting);
}

/** Small enough for a test to lose some on the way, in two versions: the second adds a variant. */
function publishInPieces(): void {
  const bundle = `${made}/bundles/tiny-gpt2`;
  const published = `${made}/published/tiny-gpt2`;
  if (!isOlder(`${published}/manifest.json`, `${bundle}/manifest.json`)) return;
  rmSync(join(root, published), { recursive: true, force: true });
  const how = ['--to', published, '--chunk-bytes', String(2 ** 17), '--version', '1.0.0'];
  python('tools/model-export/publish.py', bundle, ...how);
}

/** The same graphs without their manifest, in folders of their own. */
function makeBareModels(): void {
  const bundle = `${made}/bundles/tiny-gpt2`;
  const script = 'tests/fixtures/make_bare_fixtures.py';
  if (isOlder(`${made}/bundles/bare-stranger/model.onnx`, `${bundle}/manifest.json`, script)) {
    python(script, '--bundle', bundle, '--output', `${made}/bundles`);
  }
}

function isOlder(made: string, ...sources: string[]): boolean {
  const path = join(root, made);
  if (!existsSync(path)) return true;
  const { mtimeMs } = statSync(path);
  return sources.some((source) => newest(join(root, source)) > mtimeMs);
}

/** When a file was changed last, or any program or recipe of a folder. */
function newest(path: string): number {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  const files = readdirSync(path, { recursive: true, encoding: 'utf8' });
  const times = files
    .filter((name) => /\.(py|json)$/.test(name))
    .map((name) => statSync(join(path, name)).mtimeMs);
  return Math.max(...times);
}

function python(...command: string[]): void {
  execFileSync(process.env['ORIEL_PYTHON'] ?? '.venv/bin/python', command, {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    // Nothing in the tests may come from the network.
    env: { ...process.env, HF_HUB_OFFLINE: '1' },
  });
}
