// The dashboards that the reader opens: one unit's page, the list of a layer, and the unit's values on the newest text.
// inference/read_dashboards.ts reads them.
import type { UnitRef } from '../contract/dashboard_unit';
import { dictionaryOfKind } from '../contract/validate_dictionaries';
import type { ReadUnits } from '../inference/read_dashboards';
import { toModelErrorData } from '../inference/model_error';
import type { ModelErrorData, OpenRequest, TokenPiece } from '../inference/model_types';
import { runKey, type Answer } from './answer';
import type { Opening } from './opening.svelte';
import { strengthAlong, valuesName } from './unit_values';
import type { TokenPieces } from './token_pieces';

export type UnitStage =
  | { readonly kind: 'idle' | 'cancelled' }
  | { readonly kind: 'working'; readonly done: number; readonly of: number }
  | { readonly kind: 'failed'; readonly error: ModelErrorData };

/** The same of a text's values, which may need a dictionary's file: `loading` counts its bytes, of 0 at first. */
export type OwnStage =
  UnitStage | { readonly kind: 'loading'; readonly done: number; readonly of: number };

type Row = ReadUnits['rows'][number];

export interface OpenUnit {
  readonly ref: UnitRef;
  readonly row: Row;
  readonly bytes: number;
  readonly pieces: ReadonlyMap<number, TokenPiece>;
}

export interface OpenLayer extends ReadUnits {
  readonly kind: string;
  readonly layer: number;
  readonly pieces: ReadonlyMap<number, TokenPiece>;
}

/** A unit's values along a text. */
export interface OwnValues {
  readonly ref: UnitRef;
  readonly run: string;
  readonly tokens: Answer['tokens'];
  readonly values: Float32Array;
}

type Source = Pick<OpenRequest, 'url' | 'local'>;

export class UnitPages {
  stage = $state.raw<UnitStage>({ kind: 'idle' });
  /** It stays while the next one is read. */
  open = $state.raw<OpenUnit | null>(null);
  listStage = $state.raw<UnitStage>({ kind: 'idle' });
  layer = $state.raw<OpenLayer | null>(null);
  /** The stage of the run for the open unit. */
  ownStage = $state.raw<OwnStage>({ kind: 'idle' });
  own = $state.raw<OwnValues | null>(null);
  readonly #opening: Opening;
  readonly #pieces: TokenPieces;
  #asked = '';
  #round: AbortController | null = null;
  #listing: AbortController | null = null;
  #ownAsked = '';
  #ownRound: AbortController | null = null;

  constructor(opening: Opening, pieces: TokenPieces) {
    this.#opening = opening;
    this.#pieces = pieces;
  }

  /** Read a unit, unless it was asked for last. Never rejects: a problem is in `stage`. */
  async follow(source: Source, ref: UnitRef): Promise<void> {
    const asked = JSON.stringify(ref);
    if (asked === this.#asked) return;
    this.#round?.abort();
    this.#leaveText();
    const round = new AbortController();
    [this.#asked, this.#round] = [asked, round];
    this.stage = { kind: 'working', done: 0, of: 1 };
    try {
      const { rows, bytes } = await this.#read(source, ref, round.signal);
      const [row] = rows;
      if (row === undefined) throw new RangeError('no row');
      const pieces = await this.#named(idsOf(row));
      if (this.#round !== round) return;
      this.open = { ref, row, bytes, pieces };
      this.stage = { kind: 'idle' };
    } catch (thrown) {
      if (this.#round !== round) return;
      this.stage = { kind: 'failed', error: toModelErrorData(thrown, 'run') };
    }
  }

  /** Read all units of a layer. */
  async list(source: Source, kind: string, layer: number): Promise<void> {
    this.#listing?.abort();
    const round = new AbortController();
    this.#listing = round;
    this.listStage = { kind: 'working', done: 0, of: 1 };
    const onProgress = (done: number, of: number): void => {
      if (this.#listing === round) this.listStage = { kind: 'working', done, of };
    };
    try {
      const read = await this.#read(source, { kind, layer, unit: null }, round.signal, onProgress);
      const ids = read.rows.flatMap(weighed);
      const pieces = await this.#named(ids);
      if (this.#listing !== round) return;
      this.layer = { ...read, kind, layer, pieces };
      this.listStage = { kind: 'idle' };
    } catch (thrown) {
      if (this.#listing !== round) return;
      this.listStage = { kind: 'failed', error: toModelErrorData(thrown, 'run') };
    }
  }

  cancelList(): void {
    this.#listing?.abort();
    this.#listing = null;
    this.listStage = { kind: 'cancelled' };
  }

  /** Run an answer's text for the values of a unit, after the download of its dictionary where it is a feature. */
  async onText(answer: Answer, ref: UnitRef): Promise<void> {
    const { client } = this.#opening;
    const run = runKey(answer);
    const asked = JSON.stringify([run, ref]);
    if (client === null || asked === this.#ownAsked) return;
    const round = new AbortController();
    [this.#ownAsked, this.#ownRound] = [asked, round];
    const isCurrent = (): boolean => this.#ownRound === round;
    const tell = (kind: 'loading' | 'working') => (done: number, of: number) => {
      if (isCurrent()) this.ownStage = { kind, done, of };
    };
    try {
      const dictionary = dictionaryOfKind(ref.kind);
      if (dictionary !== null) {
        tell('loading')(0, 0);
        await client.openDictionary(dictionary, tell('loading'), round.signal);
        if (!isCurrent()) return;
      }
      tell('working')(0, 1);
      const { ids } = answer.activations;
      const { interventions, tokens } = answer;
      const activations = [valuesName(ref)];
      const { texts } = await client.runBatch({ texts: [ids], interventions, activations });
      if (!isCurrent()) return;
      const [tensor] = texts[0]?.tensors ?? [];
      this.own =
        tensor === undefined ? null : { ref, run, tokens, values: strengthAlong(tensor, ref) };
      this.ownStage = { kind: 'idle' };
    } catch (thrown) {
      if (!isCurrent()) return;
      this.ownStage = { kind: 'failed', error: toModelErrorData(thrown, 'run') };
    }
  }

  /** Let a unit that failed be asked again. */
  forget(): void {
    this.#asked = '';
  }

  /** The same of the values on a text. */
  forgetText(): void {
    this.#ownAsked = '';
  }

  /** Leave out the rest of the dictionary's download. */
  cancelText(): void {
    this.#leaveText();
    this.ownStage = { kind: 'cancelled' };
  }

  #leaveText(): void {
    this.#ownRound?.abort();
    [this.#ownRound, this.#ownAsked] = [null, ''];
    this.ownStage = { kind: 'idle' };
  }

  /** Forget the units of another model. */
  clear(): void {
    this.#round?.abort();
    this.#listing?.abort();
    this.#leaveText();
    [this.#round, this.#listing, this.#asked] = [null, null, ''];
    [this.open, this.layer, this.own] = [null, null, null];
    this.stage = this.listStage = { kind: 'idle' };
  }

  async #read(
    source: Source,
    { kind, layer, unit }: { kind: string; layer: number; unit: number | null },
    signal: AbortSignal,
    onProgress?: (done: number, of: number) => void,
  ): Promise<ReadUnits> {
    const { client } = this.#opening;
    if (client === null) return { rows: [], bytes: 0 };
    const model: OpenRequest = { ...source, provider: 'auto' };
    return client.readUnits({ model, kind, layer, unit }, onProgress, signal);
  }

  async #named(ids: Iterable<number>): Promise<ReadonlyMap<number, TokenPiece>> {
    const { client, model } = this.#opening;
    if (client !== null && model?.hasTokenizer === true) await this.#pieces.learn(client, ids);
    return this.#pieces.known;
  }
}

/** List the ids of the tokens that a unit fires at, promotes and suppresses. */
function weighed({ firing, promoted, suppressed }: Row): number[] {
  return [...firing, ...promoted, ...suppressed].map(({ id }) => id);
}

function idsOf(row: Row): number[] {
  return [...weighed(row), ...row.passages.flatMap(({ ids }) => ids)];
}
