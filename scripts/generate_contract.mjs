// Generates the page's contract types from contracts/; `--check` fails where the committed file has drifted.
// What is done with the types at run time lives in apps/web/src/contract/.
import { readFile, writeFile } from 'node:fs/promises';
import { compile } from 'json-schema-to-typescript';
import * as prettier from 'prettier';

const contracts = new URL('../contracts/', import.meta.url);
const target = new URL('../apps/web/src/contract/generated.ts', import.meta.url);

/** @typedef {{ [key: string]: unknown }} Schema */

/** @type {(text: string) => Schema} */
const parseJson = JSON.parse;

/** @param {string} name @returns {Promise<Schema>} */
async function readSchema(name) {
  const text = await readFile(new URL(name, contracts), 'utf8');
  return parseJson(text);
}

/** Rules about values, not types; if kept, they would only make the types less exact. */
const valueRules = new Set([
  'allOf',
  'contains',
  'if',
  'then',
  'else',
  '$id',
  '$schema',
  'pattern',
]);

/**
 * Return one document in which every reference is local, with unknown properties left out: a reader of a
 * newer minor version ignores them, so no code may depend on them.
 * @param {unknown} node @returns {unknown}
 */
function simplify(node) {
  if (Array.isArray(node)) return node.map(simplify);
  if (typeof node !== 'object' || node === null) return node;
  /** @type {Schema} */
  const result = {};
  for (const [key, value] of Object.entries(node)) {
    if (valueRules.has(key)) continue;
    if (key === '$ref' && typeof value === 'string') {
      result[key] = value.replace(/^urn:oriel:activations:2(#.*)?$/, (_all, fragment) =>
        fragment === undefined ? '#/$defs/activationsDocument' : String(fragment),
      );
    } else if (key === 'additionalProperties' && value === true) {
      result[key] = false;
    } else {
      result[key] = simplify(value);
    }
  }
  return result;
}

async function generate() {
  const manifest = await readSchema('manifest.schema.json');
  const activations = await readSchema('activations.schema.json');
  const table =
    /** @type {{ activations: { kind: string }[], closings: { closing: string }[] }} */ (
      /** @type {unknown} */ (await readSchema('activations.json'))
    );
  const { $defs: activationDefs, ...activationsDocument } = activations;
  const schema = {
    ...manifest,
    $defs: {
      .../** @type {Schema} */ (manifest['$defs']),
      .../** @type {Schema} */ (activationDefs),
      activationsDocument,
    },
  };
  const kinds = table.activations.map(({ kind }) => `'${kind}'`).join(' | ');
  const closings = table.closings.map(({ closing }) => `'${closing}'`).join(' | ');
  const types = await compile(/** @type {object} */ (simplify(schema)), 'Manifest', {
    bannerComment: '',
    ignoreMinAndMaxItems: true,
    format: false,
  });
  const edits = await compile(
    /** @type {object} */ (simplify(await readSchema('edits.schema.json'))),
    'EditsDocument',
    { bannerComment: '', ignoreMinAndMaxItems: true, format: false },
  );
  const lesson = await compile(
    /** @type {object} */ (simplify(await readSchema('lesson.schema.json'))),
    'LessonDocument',
    { bannerComment: '', ignoreMinAndMaxItems: true, format: false },
  );
  const dashboards = await readSchema('dashboards.schema.json');
  // Its references into the other schemas are of texts, which need no types of their own.
  const own = JSON.stringify(dashboards).replace(/"\$ref":"urn:[^"]*"/g, '"type":"string"');
  const index = await compile(/** @type {object} */ (simplify(parseJson(own))), 'DashboardIndex', {
    bannerComment: '',
    ignoreMinAndMaxItems: true,
    format: false,
  });
  const source = [
    '// Generated from contracts/ by `npm run contract`: change the schemas, not this file.',
    '',
    '/** Kind of an activation, as in the table of contracts/activations.json. */',
    `export type ActivationKind = ${kinds};`,
    '',
    '/** Name of a closing, as in the table of contracts/activations.json. */',
    `export type ClosingName = ${closings};`,
    '',
    types,
    edits,
    lesson,
    index,
  ].join('\n');
  const style = await prettier.resolveConfig(target);
  return prettier.format(source, { ...style, parser: 'typescript' });
}

const source = await generate();
if (process.argv.includes('--check')) {
  const committed = await readFile(target, 'utf8').catch(() => '');
  if (committed !== source) {
    console.error(
      'apps/web/src/contract/generated.ts does not match contracts/: run `npm run contract`.',
    );
    process.exit(1);
  }
} else {
  await writeFile(target, source);
}
