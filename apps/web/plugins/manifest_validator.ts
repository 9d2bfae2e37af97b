// Compiles contracts/*.schema.json to plain code at build time, so that the page needs no `eval`.
// The code's callers are apps/web/src/contract/validate_manifest.ts and validate_document.ts.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Ajv2020 } from 'ajv/dist/2020.js';
import standalone from 'ajv/dist/standalone/index.js';
import type { Plugin } from 'vite';

const moduleName = 'virtual:oriel/manifest-validator';
const resolvedName = `\0${moduleName}`;
const schemas = ['activations.schema.json', 'manifest.schema.json'].map((name) =>
  fileURLToPath(new URL(`../../../contracts/${name}`, import.meta.url)),
);

/** Replacement for a CommonJS helper: JSON Schema counts lengths in code points, as Python does. */
const lengthInCodePoints = '((text) => { let n = 0; for (const _ of text) n++; return n; })';

export function manifestValidator(): Plugin {
  return {
    name: 'oriel:manifest-validator',
    resolveId: (id) => (id === moduleName ? resolvedName : null),
    async load(id) {
      if (id !== resolvedName) return null;
      const parsed: { $id: string }[] = [];
      for (const path of schemas) {
        this.addWatchFile(path);
        parsed.push(JSON.parse(await readFile(path, 'utf8')) as { $id: string });
      }
      const ajv = new Ajv2020({
        schemas: parsed,
        code: { source: true, esm: true, lines: true },
        strictRequired: false,
        strictTypes: false,
      });
      const code = standalone(ajv, {
        validateManifest: 'urn:oriel:manifest:2',
        validateActivations: 'urn:oriel:activations:2',
        validateModelRecord: 'urn:oriel:manifest:2#/properties/model',
        validatePath: 'urn:oriel:manifest:2#/$defs/path',
      }).replaceAll('require("ajv/dist/runtime/ucs2length").default', lengthInCodePoints);
      if (code.includes('require(')) this.error('the compiled validator is not self-contained');
      return code;
    },
  };
}
