// Fetches a lesson, which may be anyone's: within a limit of size and time, without cookies, as strict JSON, held to its
// schema.
import { StallWatch } from '../bundle/download/stall_watch';
import { startLimits } from '../bundle/download/retry_policy';
import type { LessonDocument } from '../contract/generated';
import { parseStrictJson } from '../contract/strict_json';
import { LessonError } from './lesson_error';

/** Bytes of a lesson: the longest that its schema allows in two languages is smaller in practice. */
export const maxLessonBytes = 512 * 1024;

/** Return the lesson at an address. Rejects with a LessonError. */
export async function fetchLesson(url: string): Promise<LessonDocument> {
  const text = await readText(url);
  const read = parseStrictJson(text);
  if (read.kind === 'refused')
    throw new LessonError({ kind: 'not-a-lesson', url, detail: read.detail });
  // Its code is a file of its own, which only a reader of lessons fetches.
  const { checkLesson } = await import('../contract/validate_lesson');
  const verdict = checkLesson(read.value);
  if (verdict.kind === 'lesson') return verdict.lesson;
  throw new LessonError(verdict.kind === 'not-a-lesson' ? { ...verdict, url } : verdict);
}

async function readText(url: string): Promise<string> {
  const stall = new StallWatch(url, startLimits.list);
  try {
    const response = await fetch(url, {
      cache: 'no-cache',
      credentials: 'omit',
      referrerPolicy: 'no-referrer',
      signal: stall.signal,
    });
    if (!response.ok || response.body === null)
      throw new LessonError({ kind: 'lesson-missing', url, status: response.status });
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    let text = '';
    let received = 0;
    const reader = response.body.getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      stall.reset();
      received += part.value.length;
      if (received > maxLessonBytes) {
        await reader.cancel();
        throw new LessonError({ kind: 'lesson-too-large', url, limit: maxLessonBytes });
      }
      text += decoder.decode(part.value, { stream: true });
    }
    return text + decoder.decode();
  } catch (error) {
    if (error instanceof LessonError) throw error;
    const isText = error instanceof TypeError && /decod|utf/i.test(error.message);
    throw new LessonError(
      isText
        ? { kind: 'not-a-lesson', url, detail: 'it is not UTF-8' }
        : { kind: 'lesson-missing', url, status: null },
    );
  } finally {
    stall.end();
  }
}
