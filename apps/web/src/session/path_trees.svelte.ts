// The tree of the likeliest continuations of the page's text: what the reader asks for, the runs that it takes through the
// key/value cache, and the newest tree. analysis/path_search.ts searches.
import { mostRuns, searchPaths, type PathTree } from '../analysis/path_search';
import type { TokenPiece } from '../inference/model_types';
import type { AnalysisParts } from './analysis_parts';
import { AnalysisRounds, type AnalysisStage, type Round } from './analysis_rounds.svelte';
import { runKey, type Answer } from './answer';
import { endTokensOf } from './read_prompt';

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

export class PathTrees {
  size = $state.raw<TreeSize>(DEFAULT_TREE);
  /** The size of a link's tree, until there is a text to search behind. */
  #linked = $state.raw<TreeSize | null>(null);
  readonly #parts: AnalysisParts;
  readonly #rounds: AnalysisRounds<FoundTree>;
  #followed: Answer | null = null;

  constructor(parts: AnalysisParts) {
    this.#parts = parts;
    this.#rounds = new AnalysisRounds(parts, () => {
      this.close();
    });
  }

  get stage(): AnalysisStage {
    return this.#rounds.stage;
  }

  /** The newest tree; it stays while the next one is searched. */
  get found(): FoundTree | null {
    return this.#rounds.found;
  }

  get isOpen(): boolean {
    return this.#rounds.isOpen;
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
  isOf(answer: Answer): boolean {
    return this.found !== null && runKey(this.found.answer) === runKey(answer);
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
    this.#rounds.open();
    this.#begin();
  }

  resize(size: TreeSize): void {
    this.size = size;
    if (this.isOpen) this.#begin();
  }

  /** Leave out the rest of the runs, and keep nothing. */
  close(): void {
    this.#rounds.close();
  }

  /** Forget all, as for another model. */
  clear(): void {
    this.close();
    this.#followed = null;
  }

  #begin(): void {
    const answer = this.#followed;
    if (answer === null) return;
    const asked = JSON.stringify([runKey(answer), this.size]);
    this.#rounds.begin(asked, (round) => this.#search(answer, round));
  }

  async #search(answer: Answer, { client, model, run, tell }: Round): Promise<FoundTree> {
    const { pieces } = this.#parts;
    const { ids, lastLogits } = answer.activations;
    const { manifest } = model;
    const ends = endTokensOf(manifest);
    const { size } = this;
    const depth = Math.min(size.depth, manifest.model.shape.context_length - ids.length);
    const of = mostRuns({ ...size, depth });
    let done = 0;
    tell(done, of);
    const tree = await searchPaths(
      lastLogits,
      { depth, width: size.width, isEnd: (token) => ends.includes(token) },
      async (path) => {
        // The text's own keys and values are cached: only the path is fed, and the cache stays the text's.
        const result = await run((client) =>
          client.run({
            ids: [...ids, ...path],
            interventions: answer.interventions,
            ...{ reuseCache: true, keepCache: false, goesOn: true, activations: [] },
          }),
        );
        tell(++done, of);
        return result.lastLogits;
      },
    );
    if (model.hasTokenizer)
      await pieces.learn(
        client,
        tree.nodes.map(({ token }) => token),
      );
    return { ...tree, answer, size, pieces: pieces.known };
  }
}
