// docs/views.md and its Chinese sibling: each view of the registry under its title and question, with its pictures.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { DICTIONARIES } from '../../apps/web/src/i18n/all_dictionaries';
import { VIEWS } from '../../apps/web/src/views/registry';

const documents = fileURLToPath(new URL('../../docs', import.meta.url));

for (const [language, file] of [
  ['en', 'views.md'],
  ['zh', 'views.zh-CN.md'],
] as const)
  test(`${file} shows every view`, () => {
    const words = DICTIONARIES[language];
    const text = readFileSync(join(documents, file), 'utf8');
    const sections = text.split('\n## ').slice(1);
    expect(sections.map((section) => section.split('\n').slice(0, 3))).toEqual(
      VIEWS.map((view) => [view.title(words), '', `*${view.question(words)}*`]),
    );
    for (const [at, { id }] of VIEWS.entries())
      for (const theme of ['light', 'dark']) {
        const picture = `images/views/${id}.${language}.${theme}.webp`;
        expect(sections[at], id).toContain(picture);
        expect(existsSync(join(documents, picture)), picture).toBe(true);
      }
  });
