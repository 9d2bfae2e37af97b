// The reader's text: what stands in the box, its undo and redo, and the token ids that the model is fed for it.
import { continuesText, firstTokensOf, idsAround } from '../contract/whole_text';
import type { OpenedModel } from '../inference/model_types';
import type { Notices } from './notices.svelte';
import type { Opening } from './opening.svelte';
import type { Example } from './published_example';
import { EMPTY_PROMPT, PromptState, type PromptEntry } from './prompt_state.svelte';
import { readPrompt, textAfter, withoutLastToken, type TextModel } from './read_prompt';
import { sameIds } from './stored_ids';
import type { TokenPieces } from './token_pieces';

const TYPING_PAUSE_MS = 140;

export interface PromptParts {
  readonly opening: Opening;
  readonly pieces: TokenPieces;
  readonly notices: Notices;
  /** Called when the reader edits the text, which ends a generation. */
  readonly onEdit: () => void;
  /** Called when the tokenizer has read a text, before it is run. */
  readonly onRead: () => void;
  /** Runs the ids through the model. */
  readonly run: () => Promise<void>;
}

export class Prompt {
  /** True where the text is the reader's own or a link's; else a model may bring its own example. */
  isOwn = $state(false);
  /** True where stored ids no longer fit the text or the model, so that the tokenizer's ids replaced them. */
  idsGivenUp = $state(false);
  readonly #state = new PromptState();
  readonly #parts: PromptParts;
  /** Ids that are fed: the first tokens and as much of the text as the model can read. */
  #ids: readonly number[] = [];
  /** Ids of the whole text, without the first tokens; null where only its beginning was cut into tokens. */
  #body: readonly number[] | null = [];
  #typing: ReturnType<typeof setTimeout> | null = null;
  /** Counts edits, so that the reading of an older text is dropped. */
  #edits = 0;

  constructor(parts: PromptParts) {
    this.#parts = parts;
  }

  get text(): string {
    return this.#state.now.text;
  }

  get entry(): PromptEntry {
    return this.#state.now;
  }

  get canUndo(): boolean {
    return this.#state.canUndo;
  }

  get canRedo(): boolean {
    return this.#state.canRedo;
  }

  get ids(): readonly number[] {
    return this.#ids;
  }

  get model(): OpenedModel | null {
    return this.#parts.opening.model;
  }

  /** Number of the fed tokens that were typed or go before the text, rather than generated or picked. */
  get typedTokens(): number {
    const { typed, withoutFirst } = this.entry;
    // A model that continues no text generates nothing, and tokens stand behind its text.
    if (typed === null || !this.#continues) return this.#ids.length;
    return (withoutFirst ? 0 : this.#firstTokens.length) + typed;
  }

  get isContextFull(): boolean {
    return this.#ids.length >= this.#contextLength;
  }

  /** Return the bytes of a token that was read or named before; null where they are unknown. */
  bytesOf(id: number): Uint8Array | null {
    return this.#parts.pieces.known.get(id)?.bytes ?? null;
  }

  // ---- texts that the reader did not type ----------------------------------------------------

  /** Take the first text, or a link's, which can be undone where the reader had another. Starts no run. */
  beginWith(entry: Partial<PromptEntry>, isOwn: boolean): void {
    this.idsGivenUp = false;
    this.#take({ ...EMPTY_PROMPT, ...entry });
    this.isOwn = isOwn;
  }

  /** Take the model's example text where the page was opened without a text. */
  takeExample(text: string | undefined): void {
    if (!this.isOwn && text !== undefined) this.#take({ ...EMPTY_PROMPT, text });
  }

  /** Write ids into the box for a model without a tokenizer: the stored ones, else the example's for its own text. */
  takeIds(example: Example | null): void {
    const ofExample = example?.prompt === this.text ? example.answer.tokens : [];
    const known = this.entry.ids ?? ofExample.map(({ id }) => id);
    if (known.length > 0)
      this.#take({ ...EMPTY_PROMPT, text: known.join(' '), withoutFirst: true });
  }

  /** Drop stored ids, which stand for other tokens in another model. */
  dropStoredIds(): void {
    this.idsGivenUp = this.entry.ids !== null;
    this.#state.dropIds();
  }

  /** Take a text that the reader did not write; the reader's earlier edits can still be undone. */
  #take(entry: PromptEntry): void {
    if (this.canUndo || this.isOwn) this.#state.change(entry, null, performance.now());
    else this.#state.reset(entry);
  }

  // ---- the reader's edits --------------------------------------------------------------------

  /** Take the typed text; the model runs it after a short pause. */
  setText(text: string): void {
    this.#edit({ text, typed: null }, 'typing');
    if (this.#typing !== null) clearTimeout(this.#typing);
    this.#typing = setTimeout(() => {
      this.#typing = null;
      void this.read();
    }, TYPING_PAUSE_MS);
  }

  /** Take a text at once, without the pause for typing. */
  async replace(text: string): Promise<void> {
    this.#edit({ text, ids: null, typed: null }, null);
    await this.#readNow();
  }

  /** Take a conversation as its template writes it: the template puts all tokens before it, and the tokenizer none. */
  async takeChat(text: string): Promise<void> {
    const withoutFirst = this.#firstTokens.length > 0;
    this.#edit({ text, ids: null, typed: null, withoutFirst }, null);
    await this.#readNow();
  }

  /** Remove the tokens that the tokenizer puts before every text, or put them back. */
  async setWithoutFirst(withoutFirst: boolean): Promise<void> {
    this.#edit({ withoutFirst }, null);
    await this.#readNow();
  }

  /** Replace stored ids by the tokenizer's ids of the text. */
  async retokenize(): Promise<void> {
    this.#edit({ ids: null, typed: null }, null);
    await this.#readNow();
  }

  async undo(): Promise<void> {
    this.#noteEdit();
    this.#parts.onEdit();
    if (this.#state.undo()) await this.#readNow();
  }

  async redo(): Promise<void> {
    this.#noteEdit();
    this.#parts.onEdit();
    if (this.#state.redo()) await this.#readNow();
  }

  /** Append a token that was picked or, where `isGenerated`, generated: those are undone together. */
  async append(id: number, isGenerated = false): Promise<void> {
    if (this.model === null || this.isContextFull || this.#body === null) return;
    await this.#setBody([...this.#body, id], isGenerated ? 'generating' : null);
  }

  /** Append tokens that were picked together, which are undone together. */
  async extend(ids: readonly number[]): Promise<void> {
    if (this.#body === null || this.#ids.length + ids.length > this.#contextLength) return;
    this.#parts.onEdit();
    await this.#setBody([...this.#body, ...ids], null);
  }

  /**
   * Put another token in the place of one of the fed ids, and keep or cut what stands behind it. Does nothing for a
   * token that the tokenizer puts before every text.
   */
  async replaceToken(position: number, id: number, keepsRest: boolean): Promise<void> {
    const at = position - (this.entry.withoutFirst ? 0 : this.#firstTokens.length);
    const body = this.#body;
    if (body === null || at < 0 || at >= body.length) return;
    this.#parts.onEdit();
    const rest = keepsRest ? body.slice(at + 1) : [];
    // A token that ends the text now was picked, not typed.
    await this.#setBody([...body.slice(0, at), id, ...rest], null, keepsRest ? body.length : at);
  }

  /** Remove the text's last token, whether or not the model can read that far. */
  async removeLast(): Promise<void> {
    this.#parts.onEdit();
    const text = this.#textModel();
    if (text === null) return;
    if (this.#body === null) await this.replace(await withoutLastToken(this.text, text));
    else if (this.#body.length > 0) await this.#setBody(this.#body.slice(0, -1), null);
  }

  #edit(changes: Partial<PromptEntry>, kind: string | null): void {
    this.#parts.onEdit();
    this.#change(changes, kind);
  }

  #change(changes: Partial<PromptEntry>, kind: string | null): void {
    this.#noteEdit();
    this.#state.change(changes, kind, performance.now());
  }

  #noteEdit(): void {
    this.idsGivenUp = false;
    this.isOwn = true;
    this.#edits++;
  }

  // ---- reading -------------------------------------------------------------------------------

  /** Run the current text through the open model. */
  async readAgain(): Promise<void> {
    this.#parts.onEdit();
    this.#edits++;
    await this.#readNow();
  }

  async #readNow(): Promise<void> {
    if (this.#typing !== null) clearTimeout(this.#typing);
    this.#typing = null;
    await this.read();
  }

  /** Cut the text into ids and run them; with no model open, do nothing. */
  async read(): Promise<void> {
    const { opening, notices } = this.#parts;
    const { client } = opening;
    const model = this.#textModel();
    if (model === null) return;
    const edits = this.#edits;
    try {
      const reading = await readPrompt(this.entry, model);
      if (edits !== this.#edits || client !== opening.client) return;
      if (reading.kind === 'not-ids') {
        notices.current = reading;
        return;
      }
      const { body, own, complete } = reading;
      const stored = this.entry.ids;
      if (own && stored !== null && this.text !== '' && !sameIds(stored, body))
        this.idsGivenUp = true;
      this.#state.settle({ ids: own ? null : body, typed: this.entry.typed });
      this.#parts.onRead();
      this.#takeBody(body, complete);
      await this.#parts.run();
    } catch (thrown) {
      if (client === opening.client) notices.report(thrown);
    }
  }

  /** Take the ids that a step or a choice gave, and store them where the tokenizer would make others of their text. */
  async #setBody(
    body: readonly number[],
    kind: string | null,
    mostTyped = body.length,
  ): Promise<void> {
    const { opening, notices } = this.#parts;
    const { client } = opening;
    const model = this.#textModel();
    if (model === null) return;
    const edits = this.#edits;
    let next: { text: string; own: boolean };
    try {
      next = await textAfter(this.text, this.#body ?? [], body, model);
    } catch (thrown) {
      notices.report(thrown);
      return;
    }
    if (edits !== this.#edits || client !== opening.client) return;
    const before = this.entry.typed ?? this.#body?.length ?? 0;
    const typed = Math.min(before, body.length, mostTyped);
    this.#change({ text: next.text, ids: next.own ? null : body, typed }, kind);
    this.#takeBody(body, true);
    await this.#parts.run();
  }

  #takeBody(body: readonly number[], complete: boolean): void {
    const limit = this.#contextLength;
    const { model } = this;
    const ids =
      this.entry.withoutFirst || model === null ? [...body] : idsAround(model.manifest, body);
    this.#parts.notices.current =
      ids.length > limit ? { kind: 'too-long', tokens: ids.length, limit, complete } : null;
    this.#ids = ids.slice(0, limit);
    this.#body = complete ? body : null;
  }

  get #contextLength(): number {
    return this.model?.manifest.model.shape.context_length ?? 0;
  }

  get #continues(): boolean {
    return this.model === null || continuesText(this.model.manifest.model.shape);
  }

  get #firstTokens(): readonly number[] {
    return this.model === null ? [] : firstTokensOf(this.model.manifest);
  }

  #textModel(): TextModel | null {
    const { opening, pieces } = this.#parts;
    const { client, model } = opening;
    if (client === null || model === null) return null;
    const { vocab, context_length } = model.manifest.model.shape;
    return {
      hasTokenizer: model.hasTokenizer,
      vocab,
      contextLength: context_length,
      encode: async (text) => {
        const found = await client.encode(text);
        pieces.add(found);
        return found.map((piece) => piece.id);
      },
      bytes: async (ids) => {
        if (model.hasTokenizer) await pieces.learn(client, ids);
        return ids.map((id) => pieces.known.get(id)?.bytes ?? new Uint8Array(0));
      },
    };
  }
}
