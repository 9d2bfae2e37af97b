// The part of a script that computes one kind of numbers from a run of the model.
import type { ModelRecord } from '../contract/generated';
import type { Place } from './hooks';
import type { ModulePaths } from './module_paths';

/** The origin of numbers: the model, the text, and names of its tokens. */
export interface RunOrigin {
  readonly model: ModelRecord;
  readonly paths: ModulePaths;
  readonly ids: readonly number[];
  /** Return a token's text by its id, on one line. */
  readonly labelOf: (id: number) => string;
  /** True where the script shows every step of attention, which an edit needs. */
  readonly ownAttention: boolean;
  /** True where the script makes edits, which a second run has to take back. */
  readonly isEdited: boolean;
}

export interface Recipe {
  /** A sentence: what the numbers are. */
  readonly title: string;
  /** Sentences about what they leave out; none for most. */
  readonly notes: readonly string[];
  /** The places that the run has to record. */
  readonly sees: readonly Place[];
  /** True where the run has to return attention weights. */
  readonly attentions: boolean;
  /** A file besides the checkpoint, which the script takes as an argument; null where there is none. */
  readonly file: { readonly variable: string; readonly name: string; readonly what: string } | null;
  /** Number of tokens that it runs behind the text, where edits act as well; none for most. */
  readonly tokensBehind?: number;
  /** Names of the numbers. */
  readonly names: readonly string[];
  readonly shown: readonly number[];
  /** Lines of Python, under `torch.no_grad()`, that set `computed`, a flat tensor, from `output` and `seen`;
   * those with tokens behind the text run the model themselves. */
  readonly compute: readonly string[];
}
