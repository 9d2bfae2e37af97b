// The neurons of the open model on the newest text: their activations, the lengths of what they write, and the effect
// of one on the logits. inference/neuron_reading.ts reads them.
import { mostChanged, type MostChanged } from '../analysis/most_changed';
import { toModelErrorData } from '../inference/model_error';
import type { ModelErrorData, TokenPiece } from '../inference/model_types';
import type { AskedNeuron } from '../inference/neuron_reading';
import { runKey, type Answer } from './answer';
import type { Opening } from './opening.svelte';
import type { Token } from './token';
import type { TokenPieces } from './token_pieces';

export interface ReadText {
  /** Tells the text and its edits, by `runKey`. */
  readonly run: string;
  readonly tokens: readonly Token[];
  /** mlp_act of each layer, (tokens, neurons). */
  readonly activations: readonly Float32Array[];
  /** Norm of each neuron's row of the output matrix, (neurons) for each layer. */
  readonly rows: readonly Float32Array[];
}

/** A neuron's effect on the logits at a position, for an activation of 1. */
export interface NeuronEffect extends AskedNeuron, MostChanged {
  /** (vocab). */
  readonly effects: Float32Array;
  readonly pieces: ReadonlyMap<number, TokenPiece>;
}

export type NeuronStage =
  | { readonly kind: 'idle' | 'cancelled' }
  | { readonly kind: 'working'; readonly done: number; readonly of: number }
  | { readonly kind: 'failed'; readonly error: ModelErrorData };

export class Neurons {
  stage = $state.raw<NeuronStage>({ kind: 'idle' });
  /** The newest text's; they stay while the next one's are read. */
  found = $state.raw<ReadText | null>(null);
  effect = $state.raw<NeuronEffect | null>(null);
  readonly #opening: Opening;
  readonly #pieces: TokenPieces;
  /** Those of the open variant, once they are known. */
  #rows: readonly Float32Array[] | null = null;
  #round: AbortController | null = null;
  /** The last question, as one text. */
  #asked = '';

  constructor(opening: Opening, pieces: TokenPieces) {
    this.#opening = opening;
    this.#pieces = pieces;
  }

  /** True where the lengths of what neurons write are known, which costs most. */
  get hasRows(): boolean {
    return this.#rows !== null;
  }

  /** Read an answer's text, unless that is what was asked last. Never rejects: a problem is in `stage`. */
  async follow(answer: Answer, neuron: AskedNeuron | null): Promise<void> {
    const { client, model } = this.#opening;
    if (client === null || model === null) return;
    const { ids } = answer.activations;
    const { interventions, tokens } = answer;
    const run = runKey(answer);
    const asked = JSON.stringify([run, neuron]);
    if (asked === this.#asked) return;
    this.#round?.abort();
    const round = new AbortController();
    [this.#asked, this.#round] = [asked, round];
    this.stage = { kind: 'working', done: 0, of: 1 };
    const isCurrent = (): boolean => this.#round === round && !round.signal.aborted;
    try {
      const { activations, rows, effects } = await client.readNeurons(
        { ids, interventions, rows: this.#rows === null, neuron },
        (done, of) => {
          if (isCurrent()) this.stage = { kind: 'working', done, of };
        },
        round.signal,
      );
      if (client !== this.#opening.client) return;
      this.#rows ??= rows;
      if (!isCurrent() || this.#rows === null) return;
      this.found = { run, tokens, activations, rows: this.#rows };
      const effect =
        neuron === null || effects === null
          ? null
          : { ...neuron, effects, ...mostChanged(effects) };
      if (effect !== null && model.hasTokenizer)
        await this.#pieces.learn(client, [...effect.up, ...effect.down]);
      if (!isCurrent()) return;
      this.effect = effect && { ...effect, pieces: this.#pieces.known };
      this.stage = { kind: 'idle' };
    } catch (thrown) {
      if (!isCurrent()) return;
      this.stage = { kind: 'failed', error: toModelErrorData(thrown, 'run') };
    }
  }

  /** Leave out the rest of the runs. */
  cancel(): void {
    this.#round?.abort();
    this.stage = { kind: 'cancelled' };
  }

  /** Let what was cancelled or failed be asked again. */
  forget(): void {
    this.#asked = '';
  }

  /** Forget the neurons of another model. */
  clear(): void {
    this.#round?.abort();
    [this.#round, this.#rows, this.#asked] = [null, null, ''];
    [this.found, this.effect] = [null, null];
    this.stage = { kind: 'idle' };
  }
}
