// The features of a dictionary on the newest text: their values, how well they rebuild the activation, and what one of
// them does. inference/feature_reading.ts reads them, once the dictionary's file was downloaded.
import { mostChanged, type MostChanged } from '../analysis/most_changed';
import type { Explained, SparseFeatures } from '../analysis/sparse_features';
import type { FeaturesRequest, ReadFeature } from '../inference/feature_reading';
import { toModelErrorData } from '../inference/model_error';
import type { ModelClient } from '../inference/client_interface';
import type { ModelErrorData, TokenPiece } from '../inference/model_types';
import { runKey, type Answer } from './answer';
import type { Opening } from './opening.svelte';
import type { Token } from './token';
import type { TokenPieces } from './token_pieces';

/** The reader's questions about a text's features. */
export type FeatureQuestion = Pick<
  FeaturesRequest,
  'dictionary' | 'position' | 'feature' | 'effects' | 'listed'
>;

/** A feature of the dictionary, and the tokens that it raises and lowers most: none where its effect is not known. */
export type ChosenFeature = ReadFeature & MostChanged;

/** Return a key of a question about an answer's text: equal ones are answered alike. */
export function questionKey(answer: Answer, question: FeatureQuestion): string {
  return JSON.stringify([runKey(answer), question]);
}

/** A dictionary's file on its way, which serves each question that is asked in the meantime. */
interface Download {
  readonly ending: AbortController;
  /** Settles when the file has arrived or failed. */
  arrival: Promise<void>;
}

export interface ReadText {
  /** Tells the question and its text, by `questionKey`. */
  readonly asked: string;
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
  /** The download of `#dictionary`. */
  #download: Download | null = null;
  /** The last question, by `questionKey`, and its dictionary. */
  #asked = '';
  #dictionary: string | null = null;

  constructor(opening: Opening, pieces: TokenPieces) {
    this.#opening = opening;
    this.#pieces = pieces;
  }

  /** Read an answer's text, unless that is what was asked last. Never rejects: a problem is in `stage`. */
  async follow(answer: Answer, question: FeatureQuestion): Promise<void> {
    const { client, model } = this.#opening;
    if (client === null || model === null) return;
    const asked = questionKey(answer, question);
    if (asked === this.#asked) return;
    const { dictionary } = question;
    this.turnTo(dictionary);
    this.#round?.abort();
    const round = new AbortController();
    const { signal } = round;
    [this.#asked, this.#round, this.#dictionary] = [asked, round, dictionary];
    const isCurrent = (): boolean => this.#round === round && !signal.aborted;
    const tell = (done: number, of: number): void => {
      if (isCurrent()) this.stage = { kind: 'working', done, of };
    };
    try {
      if (this.downloaded !== dictionary) await this.#arrival(client, dictionary);
      if (!isCurrent()) return;
      tell(0, 1);
      const { tokens, interventions, activations } = answer;
      const request = { ids: activations.ids, interventions, ...question };
      const read = await client.readFeatures(request, tell, signal);
      if (!isCurrent()) return;
      const chosen = read.chosen && ranked(read.chosen);
      const named = [...(chosen?.up ?? []), ...(chosen?.down ?? []), ...read.raised.values()];
      if (model.hasTokenizer) await this.#pieces.learn(client, named.flat());
      if (!isCurrent()) return;
      this.found = { ...read, chosen, asked, question, tokens, pieces: this.#pieces.known };
      this.stage = { kind: 'idle' };
    } catch (thrown) {
      if (!isCurrent()) return;
      this.stage = { kind: 'failed', error: toModelErrorData(thrown, 'run') };
    }
  }

  /** Wait for a dictionary's file, by the download that is under way or a new one. */
  #arrival(client: ModelClient, dictionary: string): Promise<void> {
    if (this.#download !== null) return this.#download.arrival;
    const download: Download = { ending: new AbortController(), arrival: Promise.resolve() };
    const isCurrent = (): boolean => this.#download === download;
    const tell = (done: number, of: number): void => {
      if (isCurrent()) this.stage = { kind: 'loading', done, of };
    };
    const fetched = async (): Promise<void> => {
      try {
        await client.openDictionary(dictionary, tell, download.ending.signal);
        if (isCurrent()) this.downloaded = dictionary;
      } finally {
        if (isCurrent()) this.#download = null;
      }
    };
    this.#download = download;
    tell(0, 0);
    download.arrival = fetched();
    return download.arrival;
  }

  #end(): void {
    this.#round?.abort();
    this.#download?.ending.abort();
    [this.#round, this.#download] = [null, null];
  }

  /** End what is under way for another dictionary, and forget that it was cancelled or failed. */
  turnTo(dictionary: string | null): void {
    if (this.#dictionary === dictionary) return;
    this.#end();
    [this.#asked, this.#dictionary] = ['', dictionary];
    this.stage = { kind: 'idle' };
  }

  /** Leave out the rest of the download or of the runs. */
  cancel(): void {
    this.#end();
    this.stage = { kind: 'cancelled' };
  }

  /** Let what was cancelled or failed be asked again. */
  forget(): void {
    this.#asked = '';
  }

  /** Forget the features of another model. */
  clear(): void {
    this.#end();
    [this.#asked, this.#dictionary] = ['', null];
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
