// Errors of a lesson on its way from its address. The page puts them into words in i18n/*/lessons.ts.
import { TaggedError } from '../contract/tagged_error';

export type LessonErrorData =
  /** No lesson of this name ships with the page. */
  | { readonly kind: 'unknown-lesson'; readonly got: string; readonly known: readonly string[] }
  /** Neither a name nor an address of https without credentials. */
  | { readonly kind: 'lesson-address'; readonly got: string }
  /** This build takes no lesson from that origin. */
  | { readonly kind: 'lesson-origin'; readonly got: string; readonly allowed: readonly string[] }
  /** `status` is null where the host did not answer. */
  | { readonly kind: 'lesson-missing'; readonly url: string; readonly status: number | null }
  | { readonly kind: 'lesson-too-large'; readonly url: string; readonly limit: number }
  | { readonly kind: 'not-a-lesson'; readonly url: string; readonly detail: string }
  | { readonly kind: 'lesson-version'; readonly got: string; readonly supported: string };

export class LessonError extends TaggedError<LessonErrorData> {}
