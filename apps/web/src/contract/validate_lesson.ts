// Turns unknown JSON into a lesson, or says what is wrong. The same rules in Python: oriel/lessons/read_lesson.py.
import { validateLesson } from 'virtual:oriel/lesson-validator';
import type { LessonDocument } from './generated';
import { oneLine } from './one_line';

/** Major version of lessons that this page reads. */
const major = '1';

export type LessonVerdict =
  | { readonly kind: 'lesson'; readonly lesson: LessonDocument }
  | { readonly kind: 'lesson-version'; readonly got: string; readonly supported: string }
  | { readonly kind: 'not-a-lesson'; readonly detail: string };

/** Check a lesson by its version, then by contracts/lesson.schema.json. */
export function checkLesson(json: unknown): LessonVerdict {
  const version = (json as { lesson_version?: unknown } | null)?.lesson_version;
  if (typeof version === 'string' && /^\d+\.\d+$/.test(version)) {
    if (!version.startsWith(`${major}.`))
      return { kind: 'lesson-version', got: oneLine(version), supported: `${major}.x` };
  }
  if (isLesson(json)) return { kind: 'lesson', lesson: json };
  // The deepest error says most: one of a oneOf's parts names the field at fault.
  const [first] = [...(validateLesson.errors ?? [])].sort(
    (a, b) => b.instancePath.split('/').length - a.instancePath.split('/').length,
  );
  const detail = first ? `${first.instancePath || '/'} ${first.message ?? ''}` : 'not valid';
  return { kind: 'not-a-lesson', detail: oneLine(detail) };
}

function isLesson(json: unknown): json is LessonDocument {
  return validateLesson(json);
}
