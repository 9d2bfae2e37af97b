// The lesson that the reader follows: fetched, its steps put into the page one after the other, and the reader's own
// state kept until they leave. The panel: views/lessons/LessonPanel.svelte.
import type { LessonDocument, LessonStep } from '../contract/generated';
import { fetchLesson } from '../lessons/fetch_lesson';
import { lessonAddress } from '../lessons/lesson_address';
import { LessonError } from '../lessons/lesson_error';
import { formatHash, NOTHING_LINKED, readHash, type HashState } from '../url/hash_state';
import { askingPage, hashOf, keepAddress, keptAddress, searchOf } from './reader_address';
import type { CourseStage, CourseState } from '../views/lessons/course_state';

/** The functions of the page that a course needs. */
export interface CoursePage {
  /** Show a state, in the open model where it is of that one. */
  readonly show: (state: HashState) => Promise<void>;
  /** Follow the address as a link. */
  readonly follow: () => Promise<void>;
  /** Write the page's state into the address now. */
  readonly write: () => void;
  /** The state that a lesson leaves to the reader: language, provider and variant. */
  readonly ofReader: () => Partial<HashState>;
}

export class Course implements CourseState {
  stage = $state.raw<CourseStage>({ kind: 'closed' });
  at = $state(0);
  settling = $state(false);
  seen = $state.raw<readonly number[]>([]);
  readonly #page: CoursePage;
  /** Counts what was opened, so that only the newest arrives. */
  #opened = 0;

  constructor(page: CoursePage) {
    this.#page = page;
  }

  get lesson(): LessonDocument | null {
    return this.stage.kind === 'open' ? this.stage.lesson : null;
  }

  get step(): LessonStep | null {
    return this.lesson?.steps[this.at] ?? null;
  }

  /** The lesson's fields in a link to the page. */
  get linked(): Pick<HashState, 'lesson' | 'lessonStep'> {
    if (this.stage.kind === 'closed') return { lesson: null, lessonStep: null };
    return { lesson: this.stage.name, lessonStep: this.at === 0 ? null : this.at + 1 };
  }

  /** Open a lesson at its first step, and keep the reader's own state. */
  async open(name: string): Promise<void> {
    this.#page.write();
    keepAddress(this.stage.kind === 'closed' ? location.href : keptAddress());
    if (await this.#fetch(name)) await this.go(0);
  }

  /**
   * Return null where the address names no lesson; else a promise that settles once that lesson has arrived or failed.
   * An address that names a lesson alone is given the state of its step.
   */
  arrive(): Promise<void> | null {
    const { lesson } = readHash(location.hash).state;
    return lesson === null ? null : this.#arrive(lesson);
  }

  /** Take over what a followed link says of a lesson. */
  take({ lesson, lessonStep }: HashState): void {
    if (lesson === null) this.#close();
    else this.at = this.#within((lessonStep ?? 1) - 1);
  }

  async go(at: number): Promise<void> {
    if (this.lesson === null) return;
    this.at = this.#within(at);
    await this.#put(this.step?.state);
  }

  async finishStep(): Promise<void> {
    await this.#put(this.step?.done);
  }

  async again(): Promise<void> {
    await this.#put(this.step?.state);
  }

  noteSeen(): void {
    if (!this.seen.includes(this.at)) this.seen = [...this.seen, this.at];
  }

  /** End the lesson, and show the reader's own state again. */
  async leave(): Promise<void> {
    const own = keptAddress();
    this.#close();
    if (own === null) await this.#page.show({ ...NOTHING_LINKED, ...this.#page.ofReader() });
    else if (searchOf(own) === location.search) await this.#page.show(readHash(hashOf(own)).state);
    else {
      history.replaceState(history.state, '', own);
      await this.#page.follow();
    }
  }

  #close(): void {
    this.#opened++;
    this.stage = { kind: 'closed' };
    this.at = 0;
    this.seen = [];
    this.settling = false;
    keepAddress(null);
  }

  async #arrive(name: string): Promise<void> {
    if (!(await this.#fetch(name))) return;
    const { lesson, lessonStep, language, provider, ...rest } = readHash(location.hash).state;
    this.at = this.#within((lessonStep ?? 1) - 1);
    if (formatHash(rest) !== '' || this.step === null) return;
    const state = this.#stateOf(this.step.state, { language, provider });
    history.replaceState(null, '', `#${formatHash({ ...state, lesson, lessonStep })}`);
  }

  /** Fetch a lesson that isn't open yet. Returns whether it is here, and the newest asked for. */
  async #fetch(name: string): Promise<boolean> {
    if (this.stage.kind === 'open' && this.stage.name === name) return true;
    const mine = ++this.#opened;
    this.stage = { kind: 'fetching', name };
    this.seen = [];
    this.at = 0;
    try {
      const url = lessonAddress(name, askingPage());
      const lesson = await fetchLesson(url);
      if (mine !== this.#opened) return false;
      this.stage = { kind: 'open', name, lesson };
      return true;
    } catch (error) {
      if (!(error instanceof LessonError)) throw error;
      if (mine === this.#opened) this.stage = { kind: 'failed', name, error: error.data };
      return false;
    }
  }

  async #put(hash: string | undefined): Promise<void> {
    if (hash === undefined) return;
    const mine = this.#opened;
    this.settling = true;
    try {
      await this.#page.show(this.#stateOf(hash, this.#page.ofReader()));
    } finally {
      if (mine === this.#opened) this.settling = false;
    }
  }

  /** Return a step's state, with what it leaves to the reader. */
  #stateOf(hash: string, ofReader: Partial<HashState>): HashState {
    const given = readHash(hash).state;
    const own = Object.fromEntries(Object.entries(ofReader).filter(([, value]) => value !== null));
    const ofStep = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null));
    const model = this.lesson?.model ?? given.model;
    return { ...NOTHING_LINKED, ...own, ...ofStep, ...this.linked, model };
  }

  #within(at: number): number {
    return Math.max(0, Math.min(at, (this.lesson?.steps.length ?? 1) - 1));
  }
}
