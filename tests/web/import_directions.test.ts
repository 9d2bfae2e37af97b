// Imports between the page's folders point one way: towards the contract.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const source = fileURLToPath(new URL('../../apps/web/src/', import.meta.url));

/** Which folders each may import from, itself apart. */
const allowed: Record<string, readonly string[]> = {
  contract: [],
  host: [],
  bundle: ['contract'],
  tokenizer: ['contract'],
  inference: ['bundle', 'tokenizer', 'contract', 'host'],
};

const engine = Object.keys(allowed);

function importsOf(file: string): string[] {
  const text = readFileSync(join(source, file), 'utf8');
  return Array.from(text.matchAll(/(?:from|import|import\()\s*'(\.[^']+)'/g), ([, path = '']) =>
    relative(source, join(source, dirname(file), path)),
  );
}

const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter(
  (path) => /\.(ts|svelte)$/.test(path) && engine.includes(path.split(sep)[0] ?? ''),
);

test('the folders are there', () => {
  expect(new Set(files.map((path) => path.split(sep)[0]))).toEqual(new Set(engine));
});

test.each(files)('%s', (file) => {
  const folder = file.split(sep)[0] ?? '';
  const reached = importsOf(file)
    .filter((path) => !path.startsWith('..'))
    .map((path) => path.split(sep)[0] ?? '');
  for (const target of reached) expect([folder, ...(allowed[folder] ?? [])]).toContain(target);
});
