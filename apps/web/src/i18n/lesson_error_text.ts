// A lesson's error in the reader's words, in a line.
import type { LessonErrorData } from '../lessons/lesson_error';
import type { Dictionary } from './dictionary';
import { bytes } from './number_format';

export function lessonErrorText(error: LessonErrorData, words: Dictionary): string {
  const { errors } = words.lessons;
  switch (error.kind) {
    case 'unknown-lesson':
      return errors.unknown(error.got, error.known.join(words.comma));
    case 'lesson-address':
      return errors.address(error.got);
    case 'lesson-origin':
      return errors.origin(error.got, error.allowed.join(words.comma));
    case 'lesson-missing':
      return errors.missing(error.url, error.status);
    case 'lesson-too-large':
      return errors.tooLarge(error.url, bytes(error.limit));
    case 'not-a-lesson':
      return errors.invalid(error.url, error.detail);
    case 'lesson-version':
      return errors.version(error.got, error.supported);
  }
}
