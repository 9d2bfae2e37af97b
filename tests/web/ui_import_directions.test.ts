// Imports between the viewer's folders point one way: views at the top, pure analysis at the bottom.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const source = fileURLToPath(new URL('../../apps/web/src/', import.meta.url));

/** Which folders each may import from, itself apart. */
const allowed: Record<string, readonly string[]> = {
  analysis: [],
  charts: [],
  activations: ['analysis', 'inference', 'contract'],
  url: ['analysis', 'bundle', 'inference', 'contract'],
  i18n: ['analysis', 'activations', 'inference'],
  views: ['charts', 'analysis', 'activations', 'i18n', 'inference', 'bundle', 'contract'],
};

const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter(
  (path) => /\.(ts|svelte)$/.test(path) && (path.split(sep)[0] ?? '') in allowed,
);

function foldersReachedBy(file: string): string[] {
  const text = readFileSync(join(source, file), 'utf8');
  return Array.from(text.matchAll(/(?:from|import)\s*'(\.[^']+)'/g), ([, path = '']) =>
    relative(source, join(source, dirname(file), path)),
  )
    .filter((path) => !path.startsWith('..'))
    .map((path) => path.split(sep)[0] ?? '');
}

test.each(files)('%s', (file) => {
  const folder = file.split(sep)[0] ?? '';
  const within = [folder, ...(allowed[folder] ?? [])];
  for (const target of foldersReachedBy(file)) expect(within).toContain(target);
});

test('pure analysis knows neither the page nor Svelte', () => {
  for (const file of files.filter((path) => path.startsWith(`analysis${sep}`))) {
    const text = readFileSync(join(source, file), 'utf8');
    expect(text, file).not.toMatch(/\b(document|window|svelte|HTMLElement)\b|\$(state|derived)/);
  }
});

test('no view makes markup of a string', () => {
  for (const file of files) {
    const text = readFileSync(join(source, file), 'utf8');
    expect(text, file).not.toMatch(/@html|innerHTML|insertAdjacentHTML|Math\.random\(\) \*/);
  }
});
