// Rules of the page's sources that no linter states: pure analysis is pure, and text never turns into markup.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const source = fileURLToPath(new URL('../../apps/web/src/', import.meta.url));
const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((path) =>
  /\.(ts|svelte)$/.test(path),
);
const read = (path: string): string => readFileSync(join(source, path), 'utf8');

test('pure analysis knows neither the page nor Svelte', () => {
  const analysis = files.filter((path) => path.startsWith('analysis'));
  expect(analysis.length).toBeGreaterThan(0);
  for (const path of analysis) {
    expect(path).toMatch(/\.ts$/);
    expect(read(path), path).not.toMatch(
      /\b(document|window|svelte|HTMLElement)\b|\$(state|derived)/,
    );
  }
});

test('no text is made into markup', () => {
  for (const path of files) {
    expect(read(path), path).not.toMatch(/@html|innerHTML|insertAdjacentHTML|Math\.random\(\) \*/);
  }
});
