// Checks the lessons of static/lessons when the page is built, and gives the page their list as a module. The page reads
// a lesson itself in src/lessons/fetch_lesson.ts.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { Plugin } from 'vite';

const moduleName = 'virtual:oriel/lessons';
const resolvedName = `\0${moduleName}`;
const folder = fileURLToPath(new URL('../static/lessons/', import.meta.url));
const schemaPath = fileURLToPath(new URL('../../../contracts/lesson.schema.json', import.meta.url));

interface ListedLesson {
  readonly name: string;
  readonly title: unknown;
  readonly steps: number;
}

export function shippedLessons(): Plugin {
  return {
    name: 'oriel:shipped-lessons',
    resolveId: (id) => (id === moduleName ? resolvedName : null),
    async load(id) {
      if (id !== resolvedName) return null;
      this.addWatchFile(schemaPath);
      const names = await lessonNames(folder);
      for (const name of names) this.addWatchFile(join(folder, `${name}.json`));
      return `export const shippedLessons = ${JSON.stringify(await listLessons(folder))};`;
    },
  };
}

/** List the lessons of a folder, the tour first. Rejects with an Error in a line for one that breaks the schema. */
export async function listLessons(from: string): Promise<ListedLesson[]> {
  const schema = JSON.parse(await readFile(schemaPath, 'utf8')) as object;
  const ajv = new Ajv2020({ strictRequired: false, strictTypes: false });
  const validate = ajv.compile(schema);
  return Promise.all(
    (await lessonNames(from)).map(async (name) => {
      const lesson: unknown = JSON.parse(await readFile(join(from, `${name}.json`), 'utf8'));
      if (!validate(lesson)) {
        const said = ajv.errorsText(validate.errors, { dataVar: `lessons/${name}.json` });
        throw new Error(`${said}; see docs/lessons.md`);
      }
      const { title, steps } = lesson as { title: unknown; steps: unknown[] };
      return { name, title, steps: steps.length };
    }),
  );
}

async function lessonNames(from: string): Promise<string[]> {
  const names = (await readdir(from)).filter((file) => file.endsWith('.json'));
  const isLater = (name: string): number => (name === 'tour' ? 0 : 1);
  return names
    .map((file) => file.replace(/\.json$/, ''))
    .sort((a, b) => isLater(a) - isLater(b) || a.localeCompare(b, 'en'));
}
