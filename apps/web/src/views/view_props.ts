// The one set of props that every view takes.
import type { SamplingSettings } from '../analysis/sampling';
import type { Dictionary } from '../i18n/dictionary';
import type { HeadRef } from '../inference/interventions';
import type { KeptRun } from '../inference/kept_runs';
import type { ListedEdit } from '../inference/listed_edits';
import type { OpenedModel, OpenRequest, TokenPiece, ViewedModel } from '../inference/model_types';
import type { Answer } from '../session/answer';
import type { ComparedModel } from '../session/compared_model.svelte';
import type { Comparisons } from '../session/comparisons.svelte';
import type { KeptRuns } from '../session/kept_runs.svelte';
import type { AskedSweep } from '../session/patch_sweeps.svelte';
import type { ModelSession } from '../session/model_session.svelte';
import type { Hover, Scale, Selection } from './viewing.svelte';

export interface ViewProps {
  model: ViewedModel;
  answer: Answer;
  /** True where the model can be asked; else the answer was precomputed, and all that needs the model waits. */
  live: boolean;
  /** The model where it can be asked; null where the answer was precomputed. */
  opened: OpenedModel | null;
  /** The open model's session, for what it tells of itself; changes go through `act`. */
  session: ModelSession;
  /** The second variant, which the comparison opens and closes. */
  compared: ComparedModel;
  /** The chosen other run, and the newest pair. */
  comparisons: Comparisons;
  /** The runs that the reader keeps. */
  runs: KeptRuns;
  /** Address or files of the open model's bundle. */
  source: Pick<OpenRequest, 'url' | 'local'>;
  sampling: SamplingSettings;
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
  /** Replace the list of edits, then run the text. */
  setEdits(entries: readonly ListedEdit[]): void;
  /** Run a patching sweep; null cancels the one that runs. */
  sweep(asked: AskedSweep | null): void;
  setActivations(names: readonly string[]): void;
  /** Resolves when the lens is open or an error has been reported. */
  setLens(name: string): Promise<void>;
  append(id: number): void;
  /** Append tokens that were picked together. */
  extend(ids: readonly number[]): void;
  /** Put a token in the place of another, and keep or cut the text behind it. */
  replaceToken(position: number, id: number, keepsRest: boolean): void;
  /** Tell the page that a view has come into sight, for which the page may then open activations. */
  seen(view: string): void;
  /** Return all known tokens, these among them; null where the model doesn't answer, which the page then reports. */
  nameTokens(ids: Iterable<number>): Promise<ReadonlyMap<number, TokenPiece> | null>;
  /** Put another text into the box, then run it. */
  setText(text: string): void;
  /** Return where a kept run's model lies; null where it cannot be opened here. */
  sourceOfRun(run: KeptRun): Pick<OpenRequest, 'url' | 'local'> | null;
}
