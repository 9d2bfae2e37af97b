// The attribution of a logit at one token to the parts of the open model: what the reader asks, the runs that it takes,
// and the newest answer. inference/ computes the shares; analysis/attribution_parts.ts sums them.
import type { Attribution } from '../analysis/attribution';
import { largest } from '../analysis/probabilities';
import {
  byName,
  lastLooks,
  sourceActivations,
  sourceEdits,
  sourceShares,
  upcomingSourceEdits,
} from '../inference/attribute_sources';
import { interventionKey, type Interventions } from '../inference/interventions';
import { ModelError } from '../inference/model_error';
import type { RunRequest, RunResult, TokenPiece } from '../inference/model_types';
import { prefixEdits } from '../inference/prefix_edits';
import { inTurn, type AnalysisParts } from './analysis_parts';
import { AnalysisRounds, type AnalysisStage, type Round } from './analysis_rounds.svelte';
import type { Answer } from './answer';
import { ScoreReading } from './score_reading.svelte';
import type { Token } from './token';

/** The tokens whose logit, or difference of logits, is attributed. */
export interface AttributionChoice {
  /** Null for the likeliest next token. */
  readonly answer: number | null;
  /** Subtracted; `second` for the second likeliest next token. */
  readonly other: number | 'second' | 'none';
  /** The layer whose neurons are listed; null for none. */
  readonly neuronsOf: number | null;
}

const likeliest: AttributionChoice = { answer: null, other: 'none', neuronsOf: null };

/** A question as a link carries it: the choice, and the token that the selected head is asked about. */
export interface SharedQuestion extends AttributionChoice {
  readonly key: number | null;
}

/** The attribution at the last of these tokens. */
export interface AttributedLogit {
  /** The text up to the token whose prediction is attributed. */
  readonly tokens: readonly Token[];
  readonly interventions: Interventions;
  readonly answer: number;
  readonly other: number | null;
  /** The logit, or the difference, that the run itself gave. */
  readonly logit: number;
  readonly shares: Attribution;
  /** The layer of `shares.neurons`, or null. */
  readonly neuronsOf: number | null;
  /** The share that each head takes from each token, (heads, tokens) for each layer; its sum is the head's share. */
  readonly sources: readonly Float32Array[];
  /** The attention of each head from the last token, (heads, tokens) for each layer. */
  readonly looks: readonly Float32Array[];
  /** The likeliest next tokens. */
  readonly candidates: readonly number[];
  readonly pieces: ReadonlyMap<number, TokenPiece>;
}

const CANDIDATES = 12;

interface Followed {
  readonly answer: Answer;
  readonly position: number;
}

export class Attributions {
  choice = $state.raw<AttributionChoice>(likeliest);
  /** A token that the reader asks about: what the selected head gives it. Null for none. */
  askedKey = $state<number | null>(null);
  /** A link's question, until there is a text to ask it of. */
  #linked = $state.raw<SharedQuestion | null>(null);
  /** Says what made a head look at a token. */
  readonly score: ScoreReading;
  readonly #parts: AnalysisParts;
  readonly #rounds: AnalysisRounds<AttributedLogit>;
  #followed: Followed | null = null;

  constructor(parts: AnalysisParts) {
    this.#parts = parts;
    this.#rounds = new AnalysisRounds(parts, () => {
      this.close();
    });
    this.score = new ScoreReading((request, signal) =>
      inTurn(parts, (client) => client.runBatch(request), signal),
    );
  }

  get stage(): AnalysisStage {
    return this.#rounds.stage;
  }

  /** The newest attribution; it stays while the next one is computed. */
  get found(): AttributedLogit | null {
    return this.#rounds.found;
  }

  get isOpen(): boolean {
    return this.#rounds.isOpen;
  }

  /** The reader's or a link's question; null where nothing is. */
  get shared(): SharedQuestion | null {
    if (this.#linked !== null) return this.#linked;
    return this.isOpen ? { ...this.choice, key: this.askedKey } : null;
  }

  /** Ask a link's question once there is a text; null asks nothing. */
  link(question: SharedQuestion | null): void {
    this.close();
    this.#linked = question;
  }

  /** Attribute the prediction at a token, now if the view is open, else once it is. */
  follow(answer: Answer, position: number): void {
    this.#followed = { answer, position };
    if (this.#linked !== null) {
      const { key, ...choice } = this.#linked;
      this.#linked = null;
      this.choice = choice;
      this.askedKey = key;
      this.open();
    } else if (this.isOpen) this.#begin();
  }

  open(): void {
    this.#rounds.forget();
    this.#begin();
  }

  choose(changes: Partial<AttributionChoice>): void {
    this.choice = { ...this.choice, ...changes };
    if (this.isOpen) this.#begin();
  }

  /** Leave out the rest of the runs, and keep nothing. */
  close(): void {
    this.#rounds.close();
    this.score.close();
    this.askedKey = null;
  }

  /** Forget all, as for another model. */
  clear(): void {
    this.close();
    this.#followed = null;
    this.choice = likeliest;
  }

  /** Return the tokens of a text as the model's tokenizer cuts it. Rejects with a ModelError. */
  async tokensOf(text: string): Promise<readonly TokenPiece[]> {
    const { client } = this.#parts.opening;
    if (client === null) throw new ModelError({ kind: 'aborted' });
    const found = await client.encode(text);
    this.#parts.pieces.add(found);
    return found;
  }

  #begin(): void {
    const followed = this.#followed;
    if (followed === null) return;
    const asked = askedText(followed, this.choice);
    if (!this.#rounds.begin(asked, (round) => this.#attribute(followed, round), 2)) return;
    if (this.askedKey !== null && this.askedKey > followed.position) this.askedKey = null;
    this.score.close();
  }

  async #attribute(
    { answer, position }: Followed,
    { client, model, run: inTurn, tell }: Round,
  ): Promise<AttributedLogit> {
    const { shape } = model.manifest.model;
    const text = answer.activations.ids;
    const ids = text.slice(0, position + 1);
    const interventions = prefixEdits(answer.interventions, text.length, ids.length);
    const run = (request: Partial<RunRequest>): Promise<RunResult> =>
      inTurn((client) =>
        client.run({ ids, reuseCache: false, keepCache: false, interventions, ...request }),
      );
    const { choice } = this;
    let done = 0;
    let of = 2;
    const told = (): void => {
      tell(++done, of);
    };
    let { lastLogits } = answer.activations;
    const needsLikeliest = choice.answer === null || choice.other === 'second';
    if (ids.length < text.length && needsLikeliest) {
      of = 3;
      // Only to learn what is likeliest there: no other token may be attributed first.
      ({ lastLogits } = await run({ activations: [] }));
      told();
    }
    const [first = 0, second = 0] = largest(lastLogits, 2);
    const attributed = choice.answer ?? first;
    const rival = attributed === second ? first : second;
    const other = choice.other === 'second' ? rival : choice.other === 'none' ? null : choice.other;
    const attribution = { answer: attributed, ...(other !== null && { other }) };
    const whole = await run({
      attribution: {
        ...attribution,
        ...(choice.neuronsOf !== null && { neuronsOf: choice.neuronsOf }),
      },
      activations: sourceActivations(shape),
      upcoming: upcomingSourceEdits(shape),
    });
    told();
    const given = byName(whole.tensors);
    const values = await run({
      attribution,
      activations: [],
      interventions: [...interventions, ...sourceEdits(shape, ids.length, given)],
    });
    told();
    const shares = sharesOf(whole);
    const candidates = largest(whole.lastLogits, CANDIDATES);
    const { pieces } = this.#parts;
    if (model.hasTokenizer)
      await pieces.learn(client, [...candidates, attributed, ...(other === null ? [] : [other])]);
    const logitOf = (id: number | null): number => (id === null ? 0 : (whole.lastLogits[id] ?? 0));
    return {
      tokens: answer.tokens.slice(0, ids.length),
      interventions,
      answer: attributed,
      other,
      logit: logitOf(attributed) - logitOf(other),
      shares,
      neuronsOf: choice.neuronsOf,
      sources: sourceShares(shape, sharesOf(values), given),
      looks: lastLooks(shape, ids.length, given),
      candidates,
      pieces: pieces.known,
    };
  }
}

function sharesOf({ attribution }: RunResult): Attribution {
  if (attribution === undefined) throw new ModelError({ kind: 'no-attribution' });
  return attribution;
}

/** Return text that is the same for the same attribution. */
function askedText({ answer, position }: Followed, choice: AttributionChoice): string {
  const { ids } = answer.activations;
  const edits = interventionKey(answer.interventions, ids.length);
  return JSON.stringify([ids.slice(0, position + 1), edits, choice]);
}
