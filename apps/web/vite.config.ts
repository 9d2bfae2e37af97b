// How the page is served and built; how it is tested is in the root's vitest and playwright configs.
import { fileURLToPath } from 'node:url';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig, loadEnv } from 'vite';
import { manifestValidator } from './plugins/manifest_validator.ts';
import { modelsIndex } from './plugins/models_index.ts';

const webRoot = fileURLToPath(new URL('.', import.meta.url));
const repositoryRoot = fileURLToPath(new URL('../..', import.meta.url));

/** Threads in wasm need cross-origin isolation. Off, the page is what a plain static host gives. */
const isolation: Record<string, string> =
  process.env['ORIEL_NO_ISOLATION'] === '1'
    ? {}
    : {
        'Cross-Origin-Opener-Policy': 'same-origin',
        'Cross-Origin-Embedder-Policy': 'require-corp',
      };

export default defineConfig(({ mode }) => ({
  root: webRoot,
  base: loadEnv(mode, webRoot, 'VITE_')['VITE_BASE_PATH'] ?? '/',
  publicDir: 'static',
  plugins: [svelte(), manifestValidator(), modelsIndex()],
  worker: { format: 'es' as const, plugins: () => [manifestValidator()] },
  // The runtime finds its wasm files beside its own module, so it must stay where it is.
  // The tokenizer is named because it is met first in a worker: found late, it would reload the page.
  optimizeDeps: { exclude: ['onnxruntime-web'], include: ['@huggingface/tokenizers'] },
  server: { headers: isolation, fs: { allow: [repositoryRoot] } },
  preview: { headers: isolation },
  build: { target: 'es2023', outDir: 'dist', emptyOutDir: true },
}));
