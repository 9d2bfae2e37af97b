// Imports between the page's folders point one way, as tests/import_order.json says; test_house.py
// checks Python's, and that the file itself has no cycle.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

interface Order {
  everywhere: string[];
  parts: Record<string, string[]>;
}

const root = fileURLToPath(new URL('../../', import.meta.url));
const orders = JSON.parse(readFileSync(join(root, 'tests/import_order.json'), 'utf8')) as Record<
  string,
  Order
>;

/** Every file of ours that a script imports, starts as a worker, or takes a type from. */
function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  const forms = [
    /\b(?:from|import|import\()\s*['"](\.[^'"]+)['"]/g,
    /new URL\(\s*['"](\.[^'"]+)['"]/g,
  ];
  const targets = forms.flatMap((form) => Array.from(text.matchAll(form), ([, path = '']) => path));
  return targets.map((path) => join(dirname(file), path));
}

/** The part of a folder that a file lies in: its subfolder, or the folder itself. */
function partOf(folder: string, file: string): string {
  const [part = '', ...rest] = file.slice(folder.length).split(sep).filter(Boolean);
  return rest.length > 0 ? part : (folder.split(sep).at(-1) ?? '');
}

const source = join('apps', 'web', 'src');
const pages = Object.entries(orders).filter(([folder]) => folder.startsWith('apps/web/src'));

describe.each(pages)('%s', (name, { parts, everywhere }) => {
  const folder = join(root, ...name.split('/'));
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) =>
    /\.(ts|svelte)$/.test(path),
  );

  test.each(files)('%s', (path) => {
    const file = join(folder, path);
    const part = partOf(folder, file);
    const allowed = parts[part];
    if (allowed === undefined) throw new Error(`${part} has no row in tests/import_order.json yet`);
    for (const target of importsOf(file)) {
      if (target.startsWith(folder + sep)) {
        expect([part, ...allowed, ...everywhere]).toContain(partOf(folder, target));
      } else if (!target.startsWith(join(root, source) + sep)) {
        expect(dirname(target)).toBe(join(root, 'contracts'));
      }
    }
  });
});
