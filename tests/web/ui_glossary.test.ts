// The glossary: every kind of activation is explained, every term is used by the page in both languages, and each is one
// sentence with its formula.
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { activationTable } from '../../apps/web/src/contract/activation_table';
import { LANGUAGES, type Language } from '../../apps/web/src/i18n/languages';
import { piecesOf, termOf, TERMS } from '../../apps/web/src/views/glossary/terms';
import { VIEWS } from '../../apps/web/src/views/registry';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** All that the page and its lessons say in a language. */
function said(language: Language): string {
  const folder = join(root, 'apps/web/src/i18n', language);
  const sections = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8'));
  const table = readFileSync(join(root, 'contracts/activations.json'), 'utf8');
  const lessons = join(root, 'apps/web/static/lessons');
  const files = readdirSync(lessons).map((file) => readFileSync(join(lessons, file), 'utf8'));
  return [...sections, table, ...files].join('\n').toLowerCase();
}

test('every kind of activation is explained, and nothing else is called one', () => {
  const kinds = activationTable.map(({ kind }) => kind);
  const explained = new Set(TERMS.flatMap(({ contract }) => contract));
  expect(kinds.filter((kind) => !explained.has(kind))).toEqual([]);
  expect([...explained].filter((kind) => !kinds.includes(kind))).toEqual([]);
});

test('every way to edit, to sample and to read the layers is explained', () => {
  const needed = ['ablation', 'knock-out', 'steering', 'patching', 'temperature', 'top-k', 'top-p'];
  const lenses = ['logit-lens', 'tuned-lens', 'jacobian-lens'];
  for (const id of [...needed, ...lenses, 'kl', 'entropy', 'logit-difference', 'induction'])
    expect(termOf(id), id).not.toBeNull();
});

test.each(LANGUAGES)('every term is used by the page in %s', (language) => {
  const text = said(language);
  for (const term of TERMS) {
    const { forms } = term[language];
    expect(forms.length, term.id).toBeGreaterThan(0);
    expect(
      forms.some((form) => text.includes(form.toLowerCase())),
      `${term.id}: ${forms.join(', ')}`,
    ).toBe(true);
  }
});

test('every term is one sentence, with a formula, of views that there are', () => {
  const views = VIEWS.map(({ id }) => id);
  expect(new Set(TERMS.map(({ id }) => id)).size).toBe(TERMS.length);
  for (const { id, en, zh, formula, views: own } of TERMS) {
    expect(en.text, id).toMatch(/^[A-Z](?:[^.]|\.\d)*\.$/);
    expect(zh.text, id).toMatch(/^[^。]*。$/);
    expect(formula, id).not.toBeNull();
    expect(own.length, id).toBeGreaterThan(0);
    for (const view of own) expect(views, id).toContain(view);
  }
  // No form leads to two terms.
  for (const language of LANGUAGES) {
    const forms = TERMS.flatMap((term) => term[language].forms.map((form) => form.toLowerCase()));
    expect(forms.filter((form, at) => forms.indexOf(form) !== at)).toEqual([]);
  }
});

test('a text is cut at its terms, the longest form first, each where it first stands', () => {
  const cut = piecesOf('The logit lens reads a logit, then another logit.', 'en');
  expect(cut.map(({ text, term }) => [text, term?.id ?? null])).toEqual([
    ['The ', null],
    ['logit lens', 'logit-lens'],
    [' reads a ', null],
    ['logit', 'logit'],
    [', then another logit.', null],
  ]);
  expect(piecesOf('Ahead, a headline.', 'en')).toEqual([
    { text: 'Ahead, a headline.', term: null },
  ]);
  const chinese = piecesOf('每张小图是一个注意力头。', 'zh');
  expect(chinese.map(({ text, term }) => [text, term?.id ?? null])).toEqual([
    ['每张小图是一个', null],
    ['注意力头', 'head'],
    ['。', null],
  ]);
});
