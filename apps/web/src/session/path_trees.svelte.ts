// The tree of the likeliest continuations of the page's text: what the reader asks for, the runs that it takes through the
// key/value cache, and the newest tree. analysis/path_search.ts searches.
import { mostRuns, searchPaths, type PathTree } from '../analysis/path_search';
import { interventionKey } from '../inference/interventions';
import { ModelError, toModelErrorData } from '../inference/model_error';
import type {
  ModelClient,
  ModelErrorData,
  OpenedModel,
  TokenPiece,
} from '../inference/model_types';
import type { AnalysisParts } from './analysis_parts';
import type { Answer } from './answer';
import { endTokensOf } from './read_prompt';
import { sameIds } from './stored_ids';

/** Tokens that a path has, and paths that are kept. */
export interface TreeSize {
  readonly depth: number;
  readonly width: number;
}

export const DEFAULT_TREE: TreeSize = { depth: 5, width: 4 };

/** A tree, and the text that it continues. */
export interface FoundTree extends PathTree {
  readonly answer: Answer;
  readonly size: TreeSize;
  readonly pieces: ReadonlyMap<number, TokenPiece>;
}

export type TreeStage =
  | { readonly kind: 'closed' | 'ready' }
  /** `done` of at most `of` runs are finished. */
  | { readonly kind: 'working'; readonly done: number; readonly of: number }
  | { readonly kind: 'failed'; readonly error: ModelErrorData };

export class PathTrees {
  stage = $state.raw<TreeStage>({ kind: 'closed' });
  size = $state.raw<TreeSize>(DEFAULT_TREE);
  /** The size of a link's tree, until there is a text to search behind. */
  #linked = $state.raw<TreeSize | null>(null);
  /** The newest tree; it stays while the next one is searched. */
  found = $state.raw<FoundTree | null>(null);
  readonly #parts: AnalysisParts;
  #followed: Answer | null = null;
  #round: AbortController | null = null;
  /** What the newest search was asked, in one text. */
  #asked = '';

  constructor(parts: AnalysisParts) {
    this.#parts = parts;
  }

  get isOpen(): boolean {
    return this.stage.kind !== 'closed';
  }

  /** The size of the tree that is open, or that a link asked for; null where it is closed. */
  get shared(): TreeSize | null {
    return this.#linked ?? (this.isOpen ? this.size : null);
  }

  /** Open the tree of a link once there is a text; null closes it. */
  link(size: TreeSize | null): void {
    this.close();
    this.#linked = size;
  }

  /** Return whether the tree continues this text, as it was edited. */
  isOf({ activations, interventions }: Answer): boolean {
    const of = this.found?.answer;
    if (of === undefined || !sameIds(of.activations.ids, activations.ids)) return false;
    const { length } = activations.ids;
    return interventionKey(of.interventions, length) === interventionKey(interventions, length);
  }

  /** Search behind an answer, now if the tree is open, else once it is. */
  follow(answer: Answer): void {
    this.#followed = answer;
    if (this.#linked !== null) {
      this.size = this.#linked;
      this.#linked = null;
      this.open();
    } else if (this.isOpen) this.#begin();
  }

  open(): void {
    this.#asked = '';
    if (this.stage.kind === 'closed') this.stage = { kind: 'working', done: 0, of: 0 };
    this.#begin();
  }

  resize(size: TreeSize): void {
    this.size = size;
    if (this.isOpen) this.#begin();
  }

  /** Leave out the rest of the runs, and keep nothing. */
  close(): void {
    this.#round?.abort();
    this.#round = null;
    this.found = null;
    this.stage = { kind: 'closed' };
  }

  /** Forget all, as for another model. */
  clear(): void {
    this.close();
    this.#followed = null;
  }

  #begin(): void {
    const { client, model } = this.#parts.opening;
    const answer = this.#followed;
    if (answer === null || client === null || model === null) return;
    const { ids } = answer.activations;
    const asked = JSON.stringify([
      ids,
      interventionKey(answer.interventions, ids.length),
      this.size,
    ]);
    if (asked === this.#asked) return;
    this.#asked = asked;
    this.#round?.abort();
    const round = new AbortController();
    this.#round = round;
    const isCurrent = (): boolean => this.#round === round && !round.signal.aborted;
    this.#search(answer, { client, model, signal: round.signal }).then(
      (found) => {
        if (!isCurrent()) return;
        this.found = found;
        this.stage = { kind: 'ready' };
      },
      (thrown: unknown) => {
        if (!isCurrent()) return;
        const error = toModelErrorData(thrown, 'run');
        if (error.kind === 'aborted') this.close();
        else {
          this.found = null;
          this.stage = { kind: 'failed', error };
        }
      },
    );
  }

  async #search(answer: Answer, { client, model, signal }: Round): Promise<FoundTree> {
    const { opening, pieces, inTurn } = this.#parts;
    const { ids, lastLogits } = answer.activations;
    const { manifest } = model;
    const ends = endTokensOf(manifest);
    const { size } = this;
    const depth = Math.min(size.depth, manifest.model.shape.context_length - ids.length);
    const of = mostRuns({ ...size, depth });
    let done = 0;
    this.stage = { kind: 'working', done, of };
    const told = (): void => {
      // A run that was under way ends behind its round's cancellation.
      if (!signal.aborted) this.stage = { kind: 'working', done: ++done, of };
    };
    const tree = await searchPaths(
      lastLogits,
      { depth, width: size.width, isEnd: (token) => ends.includes(token) },
      (path) =>
        inTurn(async () => {
          if (signal.aborted || client !== opening.client)
            throw new ModelError({ kind: 'aborted' });
          // The text's own keys and values are cached: only the path is fed, and the cache stays the text's.
          const result = await client.run({
            ids: [...ids, ...path],
            interventions: answer.interventions,
            ...{ reuseCache: true, keepCache: false, goesOn: true, activations: [] },
          });
          told();
          return result.lastLogits;
        }),
    );
    if (model.hasTokenizer)
      await pieces.learn(
        client,
        tree.nodes.map(({ token }) => token),
      );
    return { ...tree, answer, size, pieces: pieces.known };
  }
}

interface Round {
  readonly client: ModelClient;
  readonly model: OpenedModel;
  readonly signal: AbortSignal;
}
