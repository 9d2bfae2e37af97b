// Finds a lesson's address: the page's own by its name, anyone's by an https address of an origin that the build
// allows, as for models. fetch_lesson.ts reads it.
import { shippedLessons } from 'virtual:oriel/lessons';
import { isAllowed } from '../bundle/address/allowed_origins';
import { oneLine } from '../contract/one_line';
import { LessonError } from './lesson_error';
import { isShippedName, namesLesson } from './lesson_name';

const maxShown = 200;

/** The page that asks, and the origins that its build allows besides its own. */
export interface AskingPage {
  /** Its address. */
  readonly href: string;
  /** The address that its files' paths are relative to. */
  readonly base: string;
  readonly allowed: readonly string[];
}

/** Return the address of a lesson. Throws a LessonError for one from which nothing may be fetched. */
export function lessonAddress(given: string, page: AskingPage): string {
  if (isShippedName(given)) {
    const known = shippedLessons.map(({ name }) => name);
    if (!known.includes(given))
      throw new LessonError({ kind: 'unknown-lesson', got: given, known });
    return new URL(`lessons/${given}.json`, page.base).href;
  }
  const refused = new LessonError({
    kind: 'lesson-address',
    got: oneLine(given.slice(0, maxShown)),
  });
  if (!namesLesson(given) || !URL.canParse(given)) throw refused;
  const url = new URL(given);
  const { origin } = new URL(page.href);
  // The page's own host may be one without https, such as a teacher's own computer.
  if (url.protocol !== 'https:' && url.origin !== origin) throw refused;
  if (url.username !== '' || url.password !== '') throw refused;
  if (!isAllowed(url.href, origin, page.allowed))
    throw new LessonError({
      kind: 'lesson-origin',
      got: url.origin,
      allowed: [origin, ...page.allowed],
    });
  url.hash = '';
  return url.href;
}
