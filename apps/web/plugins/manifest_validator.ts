// Compiles contracts/*.schema.json to plain code at build time, so that the page needs no `eval`.
// The code's callers are apps/web/src/contract/validate_manifest.ts, validate_document.ts and validate_lesson.ts.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Ajv2020 } from 'ajv/dist/2020.js';
import standalone from 'ajv/dist/standalone/index.js';
import type { Plugin } from 'vite';

interface Compiled {
  /** Files of contracts/ that the validators refer to. */
  readonly schemas: readonly string[];
  /** {exported name: the schema's $id, with a pointer to a part of it} */
  readonly validators: Readonly<Record<string, string>>;
}

/** The modules by name: each is fetched with the part of the page that needs it. */
const modules: Readonly<Record<string, Compiled>> = {
  'virtual:oriel/manifest-validator': {
    schemas: ['activations.schema.json', 'manifest.schema.json'],
    validators: {
      validateManifest: 'urn:oriel:manifest:2',
      validateActivations: 'urn:oriel:activations:2',
      validateModelRecord: 'urn:oriel:manifest:2#/properties/model',
      validatePath: 'urn:oriel:manifest:2#/$defs/path',
    },
  },
  'virtual:oriel/dashboards-validator': {
    schemas: ['activations.schema.json', 'manifest.schema.json', 'dashboards.schema.json'],
    validators: { validateDashboardIndex: 'urn:oriel:dashboards:1' },
  },
  'virtual:oriel/lesson-validator': {
    schemas: ['lesson.schema.json'],
    validators: { validateLesson: 'urn:oriel:lesson:1' },
  },
};

const pathOf = (name: string): string =>
  fileURLToPath(new URL(`../../../contracts/${name}`, import.meta.url));

/** Replacement for a CommonJS helper: JSON Schema counts lengths in code points, as Python does. */
const lengthInCodePoints = '((text) => { let n = 0; for (const _ of text) n++; return n; })';

export function manifestValidator(): Plugin {
  return {
    name: 'oriel:manifest-validator',
    resolveId: (id) => (Object.hasOwn(modules, id) ? `\0${id}` : null),
    async load(id) {
      const compiled = id.startsWith('\0') ? modules[id.slice(1)] : undefined;
      if (compiled === undefined) return null;
      const parsed: { $id: string }[] = [];
      for (const path of compiled.schemas.map(pathOf)) {
        this.addWatchFile(path);
        parsed.push(JSON.parse(await readFile(path, 'utf8')) as { $id: string });
      }
      const ajv = new Ajv2020({
        schemas: parsed,
        code: { source: true, esm: true, lines: true },
        strictRequired: false,
        strictTypes: false,
      });
      const code = standalone(ajv, compiled.validators).replaceAll(
        'require("ajv/dist/runtime/ucs2length").default',
        lengthInCodePoints,
      );
      if (code.includes('require(')) this.error('the compiled validator is not self-contained');
      // A part of the page that imports a validator's neighbour alone should not carry the validator.
      return { code, moduleSideEffects: false };
    },
  };
}
