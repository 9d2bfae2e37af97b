// Answers to the text under the reader's interventions: opens the activations that memory allows, then runs the model.
import type { ModelShape } from '../contract/generated';
import type { ActivationSet } from '../activations/activation_set';
import type { ChosenActivations, Reading } from '../activations/chosen_activations.svelte';
import { largest } from '../analysis/probabilities';
import { isNeutral, noInterventions, type Interventions } from '../inference/interventions';
import { textNumbersOf, tokensIn, type ListedEdit } from '../inference/listed_edits';
import { ModelError, toModelErrorData } from '../inference/model_error';
import { hasRoomBeside } from '../inference/session_beside';
import type { ModelClient } from '../inference/client_interface';
import type { OpenedModel, RunResult } from '../inference/model_types';
import { lensTokens, type Answer } from './answer';
import { EditList } from './edit_list.svelte';
import type { Notices } from './notices.svelte';
import type { Opening } from './opening.svelte';
import { Runs } from './runs.svelte';
import { sameIds } from './stored_ids';
import { numbersFromTexts } from './text_numbers';
import { tokensOf } from './token';
import type { TokenPieces } from './token_pieces';

export interface RunTimes {
  /** The last run that fed more than one token. */
  prompt: { tokens: number; ms: number } | null;
  /** The last run that fed one token to a filled cache. */
  step: { total: number; ms: number } | null;
  /** From the page's opening to the first answer. */
  firstAnswerMs: number | null;
}

/** A session that is being created. */
export interface Preparing {
  /** True if the open session keeps answering meanwhile. */
  readonly isBeside: boolean;
  /** Time that the last such session took, in milliseconds. */
  readonly lastMs: number;
  cancel(): void;
}

/** The ids to run. */
export interface FedText {
  readonly ids: readonly number[];
  /** Number of them that were not generated or picked. */
  readonly typedTokens: number;
  /** Without the tokens that the tokenizer puts before every text. */
  readonly withoutFirst: boolean;
}

export interface AnswerParts {
  readonly opening: Opening;
  readonly chosen: ChosenActivations;
  readonly pieces: TokenPieces;
  readonly notices: Notices;
  readonly text: () => FedText;
  /** Return whether tokens are being generated, which leaves out the run without interventions. */
  readonly isGenerating: () => boolean;
}

const NAMED_CANDIDATES = 60;

export class Answers {
  answer = $state.raw<Answer | null>(null);
  times = $state.raw<RunTimes>({ prompt: null, step: null, firstAnswerMs: null });
  /** Duration of the last change of taps in milliseconds, from the click to the rebuilt session. */
  tapMs = $state<number | null>(null);
  /** The session for other activations that is being created; null if there is none. */
  preparing = $state.raw<Preparing | null>(null);
  readonly edits = new EditList();
  readonly #parts: AnswerParts;
  readonly #runs = new Runs(() => this.#answerOnce(), true);
  #untouched: ActivationSet | null = null;
  /** As the texts of edits were read when their numbers were computed. */
  #withoutFirst = false;

  constructor(parts: AnswerParts) {
    this.#parts = parts;
  }

  /** True while a run or a change of taps is under way. */
  get busy(): boolean {
    return this.#runs.busy;
  }

  /** The edits that are on and have their numbers; setting them replaces the whole list. */
  get interventions(): Interventions {
    return this.edits.active;
  }

  set interventions(interventions: Interventions) {
    this.edits.replace(interventions);
  }

  /** Change the list of edits, then run the text. */
  async setEdits(entries: readonly ListedEdit[]): Promise<void> {
    this.edits.entries = entries;
    await this.request();
  }

  /** Request an answer to the current text and interventions. */
  request(): Promise<void> {
    return this.#runs.request();
  }

  /** Do work on the open session behind what was asked of it before. It must leave the open activations as they are. */
  inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.#runs.enqueue(work);
  }

  async setInterventions(interventions: Interventions): Promise<void> {
    this.interventions = interventions;
    await this.request();
  }

  /** Forget everything that the model gave. */
  clear(): void {
    this.preparing?.cancel();
    this.answer = null;
    this.#forgetRuns();
  }

  /**
   * Open these activations with the weights already here, as many as memory holds, then run the text again; null for
   * those that the model was exported with.
   */
  async setActivations(names: readonly string[] | null): Promise<void> {
    const { opening, chosen } = this.#parts;
    if (opening.client === null || opening.model === null) return;
    chosen.ask(names);
    opening.noteActivations(names);
    await this.#reopenActivations();
  }

  /** Open all requested activations, although they probably need too much memory. */
  async openAllTheSame(): Promise<void> {
    this.#parts.chosen.force();
    await this.#reopenActivations();
  }

  /** Read the layers through another lens, whose file is downloaded first, then run the text again. */
  async setLens(name: string): Promise<void> {
    // A session that is being created beside the open one would have the previous lens.
    this.preparing?.cancel();
    await this.#reopen(async () => {
      const { opening } = this.#parts;
      const isCurrent = opening.currentCheck();
      if (opening.client === null || opening.model?.lens === name) return false;
      const changed = await opening.client.setLens(name);
      if (!isCurrent()) return false;
      opening.model = changed;
      opening.noteLens(name);
      this.#forgetRuns();
      return true;
    });
  }

  async #reopenActivations(): Promise<void> {
    const { opening } = this.#parts;
    const isCurrent = opening.currentCheck();
    const began = performance.now();
    this.preparing?.cancel();
    const isReady = await this.#prepareBeside(isCurrent).catch((thrown: unknown) => {
      // Any error but a lack of memory would occur again in place, and is reported there.
      return toModelErrorData(thrown, 'session').kind === 'aborted' ? 'cancelled' : 'no';
    });
    if (isReady === 'cancelled') return;
    if (isReady === 'no') {
      await this.#reopen(() => this.#openChosen(this.#reading(this.interventions), true));
      return;
    }
    this.tapMs = performance.now() - began;
    await this.request();
  }

  /** Let `change` create another session, then run the text again; an error is reported. */
  async #reopen(change: () => Promise<boolean>): Promise<void> {
    const { opening, notices } = this.#parts;
    const isCurrent = opening.currentCheck();
    const began = performance.now();
    const changed = await this.#runs.enqueue(async () => {
      if (!isCurrent()) return false;
      try {
        return await change();
      } catch (thrown) {
        if (isCurrent()) notices.report(thrown);
        return false;
      }
    });
    if (!changed) return;
    this.tapMs = performance.now() - began;
    await this.request();
  }

  /**
   * Create a session for the selected activations beside the open one, and replace the open one by it. Resolves to 'no'
   * if there is no memory for two or the selection hasn't changed. Rejects with kind `aborted` if the reader cancels or
   * selects others meanwhile.
   */
  async #prepareBeside(isCurrent: () => boolean): Promise<'yes' | 'no'> {
    const { opening, chosen, text } = this.#parts;
    const { client, model } = opening;
    if (client === null || model === null) return 'no';
    const names = chosen.next(model, this.#reading(this.interventions), true);
    if (names === null || !hasRoomBeside(model, names, text().ids.length)) return 'no';
    const { interventions } = this;
    const stop = new AbortController();
    const preparing: Preparing = {
      isBeside: true,
      lastMs: model.timings.sessionMs,
      cancel: () => {
        stop.abort();
      },
    };
    this.preparing = preparing;
    try {
      const session = await client.prepare({ activations: names, interventions }, stop.signal);
      // Wait for the running answer, so that rows of both sessions aren't mixed.
      return await this.#runs.enqueue(async () => {
        if (!isCurrent() || stop.signal.aborted) throw new ModelError({ kind: 'aborted' });
        if (session.model.lens !== opening.model?.lens) {
          // The lens changed meanwhile: this session would take it back.
          stop.abort();
          return 'no' as const;
        }
        await session.use();
        this.#takeOver(session.model, names);
        return 'yes' as const;
      });
    } finally {
      if (this.preparing === preparing) this.preparing = null;
    }
  }

  /** Cancel the session that is being created: the open one stays, with its activations. */
  keepOpen(): void {
    const { chosen, opening } = this.#parts;
    if (this.preparing === null) return;
    this.preparing.cancel();
    const open = chosen.keepOpen();
    opening.noteActivations(open);
  }

  /** Make a session for the activations to open now; false where the open ones stay. */
  async #openChosen(reading: Reading, isAsked: boolean): Promise<boolean> {
    const { opening, chosen } = this.#parts;
    const { client, model } = opening;
    const isCurrent = opening.currentCheck();
    if (client === null || model === null) return false;
    const names = chosen.next(model, reading, isAsked);
    if (names === null) return false;
    const lastMs = model.timings.sessionMs;
    const preparing: Preparing = { isBeside: false, lastMs, cancel: () => undefined };
    this.preparing = preparing;
    try {
      const changed = await client.setActivations(names);
      if (!isCurrent()) return false;
      this.#takeOver(changed, names);
      return true;
    } finally {
      // Another may be made beside the open one by now.
      if (this.preparing === preparing) this.preparing = null;
    }
  }

  #takeOver(model: OpenedModel, names: readonly string[]): void {
    this.#parts.opening.model = model;
    this.#parts.chosen.opened(names);
    this.#forgetRuns();
  }

  #reading(interventions: Interventions): Reading {
    return { tokens: this.#parts.text().ids.length, texts: isNeutral(interventions) ? 1 : 2 };
  }

  async #answerOnce(): Promise<void> {
    const { opening, chosen, notices, text } = this.#parts;
    const { client } = opening;
    const { ids } = text();
    if (client === null) return;
    if (ids.length === 0) {
      this.answer = null;
      return;
    }
    await this.#computeNumbers(client);
    if (client !== opening.client) return;
    const { interventions } = this;
    const reading = this.#reading(interventions);
    try {
      // While other activations are being prepared, the open session answers with those that it has.
      if (this.preparing === null) await this.#openChosen(reading, false);
      const { model } = opening;
      if (client !== opening.client || model === null) return;
      await chosen.follow(model, reading, () => this.#run(client, model, ids, interventions));
    } catch (thrown) {
      if (client !== opening.client) return;
      if (this.#openWithFewer(thrown, reading)) return;
      const error = toModelErrorData(thrown, 'run');
      // A variant that never answered counts as not open, like one whose session could not be made.
      if (error.kind === 'run' && error.failure !== undefined && this.answer === null)
        opening.fail(error);
      else notices.report(thrown);
    }
  }

  /** Compute the numbers of edits that come from texts; one that has none stays out of the run, and says why. */
  async #computeNumbers(client: ModelClient): Promise<void> {
    const { opening, text } = this.#parts;
    const { model } = opening;
    if (model === null) return;
    const { withoutFirst } = text();
    if (withoutFirst !== this.#withoutFirst) this.edits.forgetNumbers();
    this.#withoutFirst = withoutFirst;
    const reader = { client, model, withoutFirst };
    for (const entry of this.edits.lacking) {
      const from = textNumbersOf(entry);
      if (from === null) continue;
      try {
        this.edits.take(entry, { numbers: await numbersFromTexts(reader, entry, from) });
      } catch (thrown) {
        const error = toModelErrorData(thrown, 'run');
        if (client !== opening.client || error.kind === 'aborted') return;
        this.edits.take(entry, { error });
      }
    }
  }

  /**
   * Open the model again with fewer activations after a run that had too little memory. In a new worker, because the
   * runtime does not free the memory that the failed run took. False where nothing can be left out.
   */
  #openWithFewer(thrown: unknown, reading: Reading): boolean {
    const { opening, chosen } = this.#parts;
    const error = toModelErrorData(thrown, 'run');
    if (error.kind !== 'run' || error.failure?.cause !== 'out-of-memory') return false;
    if (opening.model === null || !chosen.record(opening.model, reading)) return false;
    // Not awaited: the new opening asks for a run, and this one has to end first.
    void opening.retry();
    return true;
  }

  async #run(
    client: ModelClient,
    model: OpenedModel,
    ids: readonly number[],
    interventions: Interventions,
  ): Promise<void> {
    const { opening, pieces, notices, text } = this.#parts;
    const activations = await this.#runOnce(client, ids, interventions);
    const untouched = await this.#untouchedRun(client, activations, interventions);
    const ofBoth = untouched === null ? [activations] : [activations, untouched];
    if (model.hasTokenizer)
      // First tokens and stored ids come from no text.
      await pieces.learn(client, [
        ...ids,
        ...ofBoth.flatMap((each) => [...named(each, model.manifest.model.shape)]),
        ...this.edits.entries.flatMap(({ from }) => tokensIn(from)),
      ]);
    if (client !== opening.client || model !== opening.model) return;
    this.answer = {
      tokens: tokensOf(ids, pieces.known, text().typedTokens, this.answer?.tokens ?? []),
      activations,
      interventions,
      untouchedLogits: untouched?.lastLogits ?? null,
      untouched,
      pieces: pieces.known,
    };
    if (notices.current?.kind === 'error') notices.current = null;
    if (this.times.firstAnswerMs === null)
      this.times = { ...this.times, firstAnswerMs: performance.now() };
  }

  /** Return the same text's run without interventions; null where there are none, or while generating. */
  async #untouchedRun(
    client: ModelClient,
    activations: ActivationSet,
    interventions: Interventions,
  ): Promise<ActivationSet | null> {
    const { ids } = activations;
    if (isNeutral(interventions)) {
      this.#untouched = activations;
      return null;
    }
    if (this.#parts.isGenerating()) return null;
    if (!sameIds(this.#untouched?.ids, ids))
      this.#untouched = await this.#runOnce(client, ids, noInterventions);
    return this.#untouched;
  }

  async #runOnce(
    client: ModelClient,
    ids: readonly number[],
    interventions: Interventions,
  ): Promise<ActivationSet> {
    const { activations, result } = await this.#runs.run(client, ids, interventions);
    if (client === this.#parts.opening.client) this.#noteTimes(result);
    return activations;
  }

  #noteTimes(result: RunResult): void {
    const fed = result.ids.length - result.start;
    const ms = result.timings.runMs;
    if (fed > 1) this.times = { ...this.times, prompt: { tokens: fed, ms } };
    else if (result.start > 0)
      this.times = { ...this.times, step: { total: result.ids.length, ms } };
  }

  #forgetRuns(): void {
    this.#runs.clear();
    this.#untouched = null;
  }
}

/** List the tokens that a view will name: the best candidates, unless they are labels, and all tokens of the logit lens. */
function* named(activations: ActivationSet, { labels = 0 }: ModelShape): Generator<number> {
  if (labels === 0) yield* largest(activations.lastLogits, NAMED_CANDIDATES);
  yield* lensTokens(activations);
}
