// The lesson that the page follows, as its panel needs it: page/course.svelte.ts.
import type { LessonDocument, LessonStep } from '../../contract/generated';
import type { LessonErrorData } from '../../lessons/lesson_error';

export type CourseStage =
  | { readonly kind: 'closed' }
  /** `name` is the lesson's, or its address. */
  | { readonly kind: 'fetching'; readonly name: string }
  | { readonly kind: 'failed'; readonly name: string; readonly error: LessonErrorData }
  | { readonly kind: 'open'; readonly name: string; readonly lesson: LessonDocument };

export interface CourseState {
  readonly stage: CourseStage;
  /** The step that is shown, from 0. */
  readonly at: number;
  readonly step: LessonStep | null;
  /** True while a step's state is being put into the page. */
  readonly settling: boolean;
  /** The steps whose claims all held. */
  readonly seen: readonly number[];
  /** Show a step. */
  go(at: number): Promise<void>;
  /** Do for the reader what the step asks for. */
  finishStep(): Promise<void>;
  /** Put the step's state into the page again. */
  again(): Promise<void>;
  noteSeen(): void;
}
