// The page's open model: puts its opening, text, answers and generation together. The selection is in views/viewing.
import { canIntervene } from '../activations/activation_offer';
import { ChosenActivations } from '../activations/chosen_activations.svelte';
import { storedMemoryRecords, type MemoryRecords } from '../activations/memory_records';
import { lensNames } from '../inference/lens_names';
import type { ModelClient } from '../inference/client_interface';
import type { OpenedModel, TokenPiece } from '../inference/model_types';
import type { Answer, Shown } from './answer';
import { Answers, type FedText } from './answers.svelte';
import type { AnalysisParts } from './analysis_parts';
import { Attributions } from './attributions.svelte';
import { DeviceProofs } from './device_proof.svelte';
import { PublishedExample } from './example.svelte';
import { Features } from './features.svelte';
import { Generation } from './generation.svelte';
import { HeadMaps } from './head_maps.svelte';
import { LensMeasuring } from './lens_measuring.svelte';
import { Neurons } from './neurons.svelte';
import { Notices } from './notices.svelte';
import { Opening } from './opening.svelte';
import { Prompt } from './prompt.svelte';
import type { Example } from './published_example';
import { PathTrees } from './path_trees.svelte';
import { PatchSweeps } from './patch_sweeps.svelte';
import { firstTokensOf } from '../contract/whole_text';
import { TokenPieces } from './token_pieces';
import { UnitPages } from './unit_pages.svelte';
import { TokenSteps } from './token_steps.svelte';

export class ModelSession {
  readonly opening: Opening;
  readonly prompt: Prompt;
  readonly answers: Answers;
  readonly generation: Generation;
  readonly attributions: Attributions;
  readonly steps: TokenSteps;
  readonly trees: PathTrees;
  readonly layers: LensMeasuring;
  readonly neurons: Neurons;
  readonly features: Features;
  readonly units: UnitPages;
  readonly sweeps: PatchSweeps;
  readonly heads: HeadMaps;
  readonly published = new PublishedExample();
  readonly proofs = new DeviceProofs(
    () => this.answers.busy || this.answers.preparing !== null || this.generation.running,
  );
  readonly notices = new Notices((error) => {
    this.generation.stop();
    this.opening.noteFailure(error);
  });
  /** The requested activations, and those of them that are open. */
  readonly chosen: ChosenActivations;
  readonly pieces = new TokenPieces();

  constructor(
    makeClient: () => ModelClient,
    random: () => number = Math.random,
    records: MemoryRecords = storedMemoryRecords(
      () => localStorage,
      () => sessionStorage,
    ),
  ) {
    const { notices, pieces } = this;
    const chosen = new ChosenActivations(records);
    const opening = new Opening(makeClient, {
      onEnd: () => {
        this.generation.stop();
        this.answers.clear();
        this.sweeps.clear();
        this.proofs.clear();
        this.attributions.clear();
        this.steps.clear();
        this.trees.clear();
        this.heads.clear();
        this.layers.clear();
        this.neurons.clear();
        this.features.clear();
        this.units.clear();
      },
      onStart: (client, request, isCurrent) => {
        chosen.ask(request.activations ?? null);
        notices.current = null;
        pieces.clear();
        // First: it is small, and asked for before any weights are.
        void this.published.fetch(client, request, isCurrent, (text) => {
          this.prompt.takeExample(text);
        });
      },
      onOpened: (model) => this.#begin(model),
    });
    const text = (): FedText => ({
      ids: this.prompt.ids,
      typedTokens: this.prompt.typedTokens,
      withoutFirst: this.prompt.entry.withoutFirst,
    });
    const answers = new Answers({
      opening,
      chosen,
      pieces,
      notices,
      text,
      isGenerating: () => this.generation.running,
    });
    const prompt = new Prompt({
      opening,
      pieces,
      notices,
      onEdit: () => {
        this.generation.stop();
      },
      onRead: () => {
        this.generation.end = null;
      },
      run: () => answers.request(),
    });
    this.chosen = chosen;
    this.sweeps = new PatchSweeps(opening, text);
    this.opening = opening;
    this.answers = answers;
    this.prompt = prompt;
    this.generation = new Generation({ prompt, answers, notices, random });
    this.layers = new LensMeasuring(opening, pieces);
    this.neurons = new Neurons(opening, pieces);
    this.features = new Features(opening, pieces);
    this.units = new UnitPages(opening, pieces);
    const analysing: AnalysisParts = {
      opening,
      pieces,
      inTurn: (work) => answers.inTurn(work),
    };
    this.attributions = new Attributions(analysing);
    this.steps = new TokenSteps(analysing);
    this.trees = new PathTrees(analysing);
    this.heads = new HeadMaps({ opening, inTurn: (work) => answers.inTurn(work) });
  }

  get model(): OpenedModel | null {
    return this.opening.model;
  }

  get answer(): Answer | null {
    return this.answers.answer;
  }

  /** The publisher's example, while there is no answer yet and its text stands unchanged in the box. */
  get example(): Example | null {
    const { stage } = this.opening;
    const { entry } = this.prompt;
    const example = this.published.current;
    const isWaiting =
      this.answer === null &&
      this.notices.current === null &&
      (stage.kind === 'opening' || stage.kind === 'ready');
    const isAsPublished =
      entry.text === example?.prompt && entry.ids === null && !entry.withoutFirst;
    return isWaiting && !this.answers.edits.entries.some(({ isOn }) => isOn) && isAsPublished
      ? example
      : null;
  }

  get shown(): Shown | null {
    if (this.model !== null && this.answer !== null)
      return { model: this.model, answer: this.answer, live: true };
    const { example } = this;
    return example && { model: example.model, answer: example.answer, live: false };
  }

  /** Tokens that the open model's tokenizer puts before every text, also where the reader took them away. */
  get firstTokens(): readonly number[] {
    const manifest = (this.model ?? this.example?.model)?.manifest;
    return manifest === undefined ? [] : firstTokensOf(manifest);
  }

  /** Return all known tokens, these among them; null where the model doesn't answer: then there is a notice. */
  async nameTokens(ids: Iterable<number>): Promise<ReadonlyMap<number, TokenPiece> | null> {
    const { client, model } = this.opening;
    if (client === null) return null;
    try {
      if (model?.hasTokenizer === true) await this.pieces.learn(client, ids);
    } catch (thrown) {
      if (client === this.opening.client) this.notices.report(thrown);
      return null;
    }
    return client === this.opening.client ? this.pieces.known : null;
  }

  /** Read the text with the model that was just opened. */
  async #begin(model: OpenedModel): Promise<void> {
    const { prompt, answers } = this;
    const { manifest, variant } = model;
    this.chosen.begin(model);
    prompt.takeExample(manifest.first_pass?.prompt);
    if (model.tokenizerTrouble !== null) prompt.takeIds(this.published.current);
    if (canIntervene(variant)) answers.edits.keepFitting(manifest.model.shape);
    else answers.edits.entries = [];
    const { client } = this.opening;
    const isCurrent = this.opening.currentCheck();
    await prompt.read();
    const { lens } = this.opening;
    // It could not be opened with the model: try again, which tells why.
    if (lens !== null && lens !== model.lens && lensNames(manifest).includes(lens) && isCurrent())
      await answers.setLens(lens);
    // Last, so that it delays none of the reader's own results.
    if (client !== null) void this.proofs.prove(client, model, isCurrent);
  }
}
