// The one set of props that every view takes.
import type { Answer } from '../session/answer';
import type { Dictionary } from '../i18n/dictionary';
import type { HeadRef } from '../inference/interventions';
import type { TokenPiece, ViewedModel } from '../inference/model_types';
import type { Hover, Scale, Selection } from './viewing.svelte';

export interface ViewProps {
  model: ViewedModel;
  answer: Answer;
  /** True where the model can be asked; else the answer was precomputed, and all that needs the model waits. */
  live: boolean;
  /** Requested activations that stay closed for want of memory. */
  leftOut: ReadonlySet<string>;
  selection: Selection;
  hover: Hover;
  scale: Scale;
  words: Dictionary;
  act: Actions;
}

/** The changes that a view may ask the page for; a view makes none by itself. */
export interface Actions {
  select(changes: Partial<Selection>): void;
  preview(changes: Partial<Hover>): void;
  setRoot(root: boolean): void;
  toggleHead(head: HeadRef): void;
  setActivations(names: readonly string[]): void;
  append(id: number): void;
  /** Return all known tokens, these among them; null where the model doesn't answer, which the page then reports. */
  nameTokens(ids: Iterable<number>): Promise<ReadonlyMap<number, TokenPiece> | null>;
}
