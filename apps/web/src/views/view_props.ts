// The one set of props that every view takes.
import type { Answer, HeadRef } from '../activations/answer';
import type { Dictionary } from '../i18n/dictionary';
import type { TokenPiece, ViewedModel } from '../inference/model_types';
import type { Hover, Scale, Selection } from './viewing.svelte';

export interface ViewProps {
  model: ViewedModel;
  answer: Answer;
  /** The model can be asked; else the answer was computed beforehand, and all that needs the model waits. */
  live: boolean;
  /** Activations that were asked for and stay closed, because there is no memory for them. */
  leftOut: ReadonlySet<string>;
  selection: Selection;
  hover: Hover;
  scale: Scale;
  words: Dictionary;
  act: Actions;
}

/** What a view may ask for; it changes nothing by itself. */
export interface Actions {
  select(changes: Partial<Selection>): void;
  preview(changes: Partial<Hover>): void;
  setRoot(root: boolean): void;
  toggleHead(head: HeadRef): void;
  setActivations(names: readonly string[]): void;
  append(id: number): void;
  /** Everything known of tokens, these among it; null where the model doesn't answer, which the page then says. */
  nameTokens(ids: Iterable<number>): Promise<ReadonlyMap<number, TokenPiece> | null>;
}
