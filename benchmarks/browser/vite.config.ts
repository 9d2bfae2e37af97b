// Builds and serves the benchmarks' pages, isolated so that wasm may have threads; /files/ serves prepared files.
import { createReadStream, statSync } from 'node:fs';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defaultClientConditions, defineConfig, type Plugin } from 'vite';
import { manifestValidator } from '../../apps/web/plugins/manifest_validator.ts';

const here = fileURLToPath(new URL('.', import.meta.url));
/** Folder for the models and libraries of those benchmarks, and for the built page. */
const folder = process.env['ORIEL_BENCHMARK_FILES'] ?? '';
if (folder === '')
  throw new Error(
    'ORIEL_BENCHMARK_FILES is not set: run precision.py, loading.py, page_interventions.py or webgpu.py',
  );

const isolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

const mediaTypes: Record<string, string> = {
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
};

const preparedFiles: Plugin = {
  name: 'prepared-files',
  configurePreviewServer({ middlewares }) {
    middlewares.use('/files', (request, response) => {
      const { pathname } = new URL(request.url ?? '/', 'http://localhost');
      const path = join(folder, normalize(decodeURIComponent(pathname)));
      const file = statSync(path, { throwIfNoEntry: false });
      if (!file?.isFile()) {
        response.writeHead(404).end();
        return;
      }
      response.setHeader('Content-Type', mediaTypes[extname(path)] ?? 'application/octet-stream');
      response.setHeader('Content-Length', file.size);
      response.setHeader('Cache-Control', 'no-store');
      // A worker's script needs these headers itself, and threads are workers.
      for (const [name, value] of Object.entries(isolation)) response.setHeader(name, value);
      createReadStream(path).pipe(response);
    });
  },
};

export default defineConfig({
  root: here,
  plugins: [preparedFiles, manifestValidator()],
  worker: { format: 'es', plugins: () => [manifestValidator()] },
  // The runtime's loader stays a file of its own: it starts the threads.
  resolve: { conditions: ['onnxruntime-web-use-extern-wasm', ...defaultClientConditions] },
  preview: { headers: isolation },
  build: {
    target: 'es2023',
    outDir: join(folder, 'page'),
    emptyOutDir: true,
    rolldownOptions: {
      input: ['index', 'loading', 'interventions', 'webgpu'].map((page) =>
        join(here, `${page}.html`),
      ),
    },
  },
});
