// Open graphs with Netron's own reader, and print what it found in each. Arguments: the folder that
// Netron's Python package is installed in, and the graphs.
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [home, ...graphs] = process.argv.slice(2);
// Its files are modules, but nothing there says so to Node.
const copy = mkdtempSync(join(tmpdir(), 'netron-'));
try {
  cpSync(join(home, 'netron'), copy, { recursive: true });
  writeFileSync(join(copy, 'package.json'), '{"type":"module"}');
  const load = (name) => import(pathToFileURL(join(copy, `${name}.js`)).href);
  const [view, node] = [await load('view'), await load('node')];
  const stream = (file) => {
    const { size, mtimeMs } = statSync(file);
    return new node.FileStream(file, 0, size, mtimeMs);
  };
  const asset = async (name) => readFileSync(join(copy, name), 'utf8');
  const require = async (id) => load(basename(id));
  const host = { asset, require, environment: () => undefined, exception: () => undefined };
  const service = new view.ModelFactoryService(host);
  const found = [];
  for (const file of graphs) {
    const context = {
      identifier: basename(file),
      stream: stream(file),
      entries: new Map(),
      asset,
      require,
      request: asset,
      fetch: async (name) => stream(join(dirname(file), name)),
      error: (error) => {
        throw error;
      },
    };
    const model = await service.open(context);
    const [graph] = model.modules;
    found.push({
      format: model.format,
      producer: model.producer,
      nodes: graph.nodes.length,
      inputs: graph.inputs.map(({ name }) => name),
      outputs: graph.outputs.map(({ name }) => name),
    });
  }
  process.stdout.write(JSON.stringify(found));
} finally {
  rmSync(copy, { recursive: true });
}
