// The features of a dictionary on the newest text: their values, how well they rebuild the activation, and what one of
// them does. inference/feature_reading.ts reads them, once the dictionary's file was downloaded.
import { mostChanged, type MostChanged } from '../analysis/most_changed';
import type { Explained, SparseFeatures } from '../analysis/sparse_features';
import type { FeaturesRequest, ReadFeature } from '../inference/feature_reading';
import { toModelErrorData } from '../inference/model_error';
import type { ModelErrorData, TokenPiece } from '../inference/model_types';
import { runKey, type Answer } from './answer';
import type { Opening } from './opening.svelte';
import type { Token } from './token';
import type { TokenPieces } from './token_pieces';

/** What the reader asks of a text's features. */
export type FeatureQuestion = Pick<
  FeaturesRequest,
  'dictionary' | 'position' | 'feature' | 'effects' | 'listed'
>;

/** A feature of the dictionary, and the tokens that it raises and lowers most: none where its effect is not known. */
export type ChosenFeature = ReadFeature & MostChanged;

export interface ReadText {
  /** Tells the text and its edits, by `runKey`. */
  readonly run: string;
  readonly question: FeatureQuestion;
  readonly tokens: readonly Token[];
  readonly features: SparseFeatures;
  readonly explained: Explained;
  readonly chosen: ChosenFeature | null;
  /** For the strongest features at the position, ids of the tokens that each raises most. */
  readonly raised: ReadonlyMap<number, readonly number[]>;
  readonly pieces: ReadonlyMap<number, TokenPiece>;
}

export type FeatureStage =
  | { readonly kind: 'idle' | 'cancelled' }
  /** Bytes of the dictionary's file; of 0 before the first have arrived. */
  | { readonly kind: 'loading'; readonly done: number; readonly of: number }
  | { readonly kind: 'working'; readonly done: number; readonly of: number }
  | { readonly kind: 'failed'; readonly error: ModelErrorData };

export class Features {
  stage = $state.raw<FeatureStage>({ kind: 'idle' });
  /** The newest text's; it stays while the next one's are read. */
  found = $state.raw<ReadText | null>(null);
  /** Name of the dictionary that was downloaded last. */
  downloaded = $state.raw<string | null>(null);
  readonly #opening: Opening;
  readonly #pieces: TokenPieces;
  #round: AbortController | null = null;
  /** What was asked last, in one text. */
  #asked = '';

  constructor(opening: Opening, pieces: TokenPieces) {
    this.#opening = opening;
    this.#pieces = pieces;
  }

  /** Read an answer's text, unless that is what was asked last. Never rejects: a problem is in `stage`. */
  async follow(answer: Answer, question: FeatureQuestion): Promise<void> {
    const { client, model } = this.#opening;
    if (client === null || model === null) return;
    const run = runKey(answer);
    const asked = JSON.stringify([run, question]);
    if (asked === this.#asked) return;
    this.#round?.abort();
    const round = new AbortController();
    const { signal } = round;
    [this.#asked, this.#round] = [asked, round];
    const isCurrent = (): boolean => this.#round === round && !signal.aborted;
    const tell = (kind: 'loading' | 'working') => (done: number, of: number) => {
      if (isCurrent()) this.stage = { kind, done, of };
    };
    const { dictionary } = question;
    try {
      if (this.downloaded !== dictionary) {
        tell('loading')(0, 0);
        await client.openDictionary(dictionary, tell('loading'), signal);
        if (!isCurrent()) return;
        this.downloaded = dictionary;
      }
      tell('working')(0, 1);
      const { tokens, interventions, activations } = answer;
      const { ids } = activations;
      const request = { ids, interventions, ...question };
      const read = await client.readFeatures(request, tell('working'), signal);
      if (!isCurrent()) return;
      const chosen = read.chosen && ranked(read.chosen);
      const named = [...(chosen?.up ?? []), ...(chosen?.down ?? []), ...read.raised.values()];
      if (model.hasTokenizer) await this.#pieces.learn(client, named.flat());
      if (!isCurrent()) return;
      this.found = { ...read, chosen, run, question, tokens, pieces: this.#pieces.known };
      this.stage = { kind: 'idle' };
    } catch (thrown) {
      if (!isCurrent()) return;
      this.stage = { kind: 'failed', error: toModelErrorData(thrown, 'run') };
    }
  }

  /** Leave out the rest of the download or of the runs. */
  cancel(): void {
    this.#round?.abort();
    this.stage = { kind: 'cancelled' };
  }

  /** Let what was cancelled or failed be asked again. */
  forget(): void {
    this.#asked = '';
  }

  /** Forget the features of another model. */
  clear(): void {
    this.#round?.abort();
    [this.#round, this.#asked] = [null, ''];
    [this.found, this.downloaded] = [null, null];
    this.stage = { kind: 'idle' };
  }
}

function ranked(chosen: ReadFeature): ChosenFeature {
  const { logitEffects } = chosen;
  return {
    ...chosen,
    ...(logitEffects === null ? { up: [], down: [] } : mostChanged(logitEffects)),
  };
}
