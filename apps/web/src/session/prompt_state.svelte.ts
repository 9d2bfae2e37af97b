// The text in the box, the token ids that it stands for where they are not the tokenizer's own, and its undo and redo.
// It asks no model: the session reads the text with the tokenizer and tells this file what came of it.
import { sameIds } from './stored_ids';

/** Everything about the text that undo brings back and a link carries. */
export interface PromptEntry {
  readonly text: string;
  /** Ids of the text's tokens where the tokenizer would make others of it; null where they are its own. */
  readonly ids: readonly number[] | null;
  /** Number of the tokens that were typed, the rest generated or picked; null where all were typed. */
  readonly typed: number | null;
  /** True where the reader removed the tokens that the tokenizer puts before every text. */
  readonly withoutFirst: boolean;
}

/** Edits of one kind that follow each other this quickly are undone together. */
const TOGETHER_MS = 800;
const MAX_ENTRIES = 200;
/** Maximum total of characters in the history: a pasted book must not be stored two hundred times. */
const MAX_CHARACTERS = 4_000_000;

export const EMPTY_PROMPT: PromptEntry = { text: '', ids: null, typed: null, withoutFirst: false };

export class PromptState {
  #now = $state.raw<PromptEntry>(EMPTY_PROMPT);
  #past = $state.raw<readonly PromptEntry[]>([]);
  #future = $state.raw<readonly PromptEntry[]>([]);
  /** Kind and time of the last change, for telling which changes belong together. */
  #last: { kind: string; at: number } | null = null;

  get now(): PromptEntry {
    return this.#now;
  }

  get canUndo(): boolean {
    return this.#past.length > 0;
  }

  get canRedo(): boolean {
    return this.#future.length > 0;
  }

  /** Replace the text and clear the history: for a text from before the reader's first edit. */
  reset(entry: PromptEntry): void {
    this.#now = entry;
    this.#past = [];
    this.#future = [];
    this.#last = null;
  }

  /**
   * Change the text and put the previous one into the history. Changes of one `kind` within `TOGETHER_MS` are one step
   * of undo; a kind of null is always a step of its own. `at` is a time in milliseconds.
   */
  change(changes: Partial<PromptEntry>, kind: string | null, at: number): void {
    const next = { ...this.#now, ...changes };
    if (sameEntry(next, this.#now)) return;
    const together = kind !== null && this.#last?.kind === kind && at - this.#last.at < TOGETHER_MS;
    if (!together || this.#past.length === 0) this.#past = bounded([...this.#past, this.#now]);
    this.#last = kind === null ? null : { kind, at };
    this.#future = [];
    this.#now = next;
  }

  /** Note the ids that were found in reading the text, which is no edit of the reader's. */
  settle(changes: Pick<PromptEntry, 'ids' | 'typed'>): void {
    this.#now = { ...this.#now, ...changes };
  }

  /** Drop stored ids, also those of earlier texts: in another model they stand for other tokens. */
  dropIds(): void {
    const without = (entry: PromptEntry): PromptEntry => ({ ...entry, ids: null, typed: null });
    this.#now = without(this.#now);
    this.#past = this.#past.map(without);
    this.#future = this.#future.map(without);
  }

  /** Go back one step; false where there is none. */
  undo(): boolean {
    const before = this.#past.at(-1);
    if (before === undefined) return false;
    this.#past = this.#past.slice(0, -1);
    this.#future = [...this.#future, this.#now];
    this.#now = before;
    this.#last = null;
    return true;
  }

  /** Go forward again; false where nothing was undone. */
  redo(): boolean {
    const after = this.#future.at(-1);
    if (after === undefined) return false;
    this.#future = this.#future.slice(0, -1);
    this.#past = bounded([...this.#past, this.#now]);
    this.#now = after;
    this.#last = null;
    return true;
  }
}

/** Return the newest entries that fit into the history. */
function bounded(entries: readonly PromptEntry[]): readonly PromptEntry[] {
  let characters = 0;
  let from = entries.length;
  while (from > 0 && entries.length - from < MAX_ENTRIES) {
    characters += entries[from - 1]?.text.length ?? 0;
    // The last one stays, however long it is.
    if (characters > MAX_CHARACTERS && from < entries.length) break;
    from--;
  }
  return entries.slice(from);
}

function sameEntry(a: PromptEntry, b: PromptEntry): boolean {
  return (
    a.text === b.text &&
    a.withoutFirst === b.withoutFirst &&
    a.typed === b.typed &&
    (a.ids === b.ids || (b.ids !== null && sameIds(a.ids ?? undefined, b.ids)))
  );
}
