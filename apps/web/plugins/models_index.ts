// Serves and emits models/index.json, the list of the bundles in static/models. src/bundle/model_catalogue.ts reads it.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Plugin, ResolvedConfig } from 'vite';

interface IndexedModel {
  name: string;
  /** Path of the manifest, relative to models/. */
  path: string;
  architecture: string;
  parameters: number;
  bytes: number;
}

interface ManifestParts {
  model: { name: string; architecture: string; parameters: number };
  files: { path: string; bytes: number }[];
  tokenizer?: { tokenizer: string; config: string; cases?: string };
  variants: GraphsOfVariant[];
}

/** Of its graphs a session opens the open one; in contract 1.x, the interactive one. */
interface GraphsOfVariant {
  weights: string[];
  open?: { path: string };
  interactive?: { path: string };
}

const indexPath = 'models/index.json';

export function modelsIndex(): Plugin {
  let config: ResolvedConfig;
  return {
    name: 'oriel:models-index',
    configResolved(resolved) {
      config = resolved;
    },
    configureServer(server) {
      server.middlewares.use(`${server.config.base}${indexPath}`, (_request, response, next) => {
        listBundles(config.publicDir).then((models) => {
          response.setHeader('Content-Type', 'application/json');
          response.setHeader('Cache-Control', 'no-cache');
          response.end(JSON.stringify(models));
        }, next);
      });
    },
    async generateBundle() {
      // A worker is a build of its own inside the page's; the list belongs to the page.
      if (this.environment.name !== 'client' || config.isWorker) return;
      this.emitFile({
        type: 'asset',
        fileName: indexPath,
        source: JSON.stringify(await listBundles(config.publicDir)),
      });
    },
  };
}

/** List the bundles below `publicDir`/models, sorted by name. */
export async function listBundles(publicDir: string): Promise<IndexedModel[]> {
  const models = join(publicDir, 'models');
  const folders = await readdir(models, { withFileTypes: true }).catch(() => []);
  const found = await Promise.all(
    folders
      // Hidden folders belong to an export that is still running or was killed.
      .filter((entry) => !entry.name.startsWith('.'))
      .filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
      .map(({ name }) => describe(models, name)),
  );
  return found
    .filter((model) => model !== null)
    .sort((a, b) => a.name.localeCompare(b.name, 'en') || a.path.localeCompare(b.path, 'en'));
}

/** Return null if the folder holds no manifest, as while an export writes it. */
async function describe(models: string, folder: string): Promise<IndexedModel | null> {
  try {
    const text = await readFile(join(models, folder, 'manifest.json'), 'utf8');
    const { model, files, tokenizer, variants } = JSON.parse(text) as ManifestParts;
    const [variant] = variants;
    const opened = new Set([
      ...(variant ? [(variant.open ?? variant.interactive)?.path, ...variant.weights] : []),
      ...(tokenizer ? [tokenizer.tokenizer, tokenizer.config, tokenizer.cases] : []),
    ]);
    return {
      name: model.name,
      path: `${encodeURIComponent(folder)}/manifest.json`,
      architecture: model.architecture,
      parameters: model.parameters,
      bytes: files.reduce((sum, file) => sum + (opened.has(file.path) ? file.bytes : 0), 0),
    };
  } catch {
    return null;
  }
}
