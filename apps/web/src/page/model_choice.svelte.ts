// Chooses the page's model: by the address, from the list, from the visitor's files, or another way after a failure.
// The session opens it.
import type { PromptEntry } from '../session/prompt_state.svelte';
import { allowedOrigins } from '../bundle/address/allowed_origins';
import { configuredModelUrl, ownModelUrl } from '../bundle/address/model_catalogue';
import { withModelParameter, withoutModelParameter } from '../bundle/address/model_parameter';
import { findLocalModel, type PlacedFile } from '../bundle/sources/local_files';
import { noInterventions, switchingOff } from '../inference/interventions';
import type { RunModel } from '../inference/kept_runs';
import { listed } from '../inference/listed_edits';
import { logitLens } from '../inference/lens_names';
import { ModelError, toModelErrorData } from '../inference/model_error';
import type { ModelErrorData, OpenRequest } from '../inference/model_types';
import { formatHash, type HashState } from '../url/hash_state';
import { namesListed, readLink, targetOf, type Link, type Target } from '../url/link';
import type { OtherSide } from '../session/comparisons.svelte';
import type { ListedRun } from '../session/kept_runs.svelte';
import type { LinkedOther } from '../url/fields';
import { Catalogue } from '../views/catalogue.svelte';
import { FIRST_PROMPT } from '../views/prompt/example_prompts';
import type { OtherWay } from '../views/shell/other_way';
import { NOTHING_SELECTED } from '../views/viewing.svelte';
import { filesOfEntry } from './address.svelte';
import type { PageParts } from './page_parts';

type ModelSource = Pick<OpenRequest, 'url' | 'local'>;
export type LocalFiles = Required<ModelSource> & { name: string };

/** A link that was followed and whose model was not opened. */
interface DeclinedLink {
  error: ModelErrorData;
  href: string;
  state: HashState;
  /** True where the link names the model that is open. */
  isOfOpen: boolean;
}

const { VITE_MODEL_URL, VITE_MODEL_ORIGINS } = import.meta.env;

export class ModelChoice {
  readonly catalogue = new Catalogue();
  /** Address of the chosen model; empty until there is one. */
  url = $state('');
  /** The model that the query names, which the build allows; null where it names none. */
  linked = $state<string | null>(null);
  /** The model that a link names and that could not be found; it stays in the address, which asks for it again. */
  missing = $state<string | null>(null);
  /** The model of the visitor's own files that was opened last. */
  local = $state.raw<LocalFiles | null>(null);
  /** The error of the files that were chosen last; what was open stays. */
  filesError = $state.raw<ModelErrorData | null>(null);
  /** The link that was followed last and whose model was not opened. */
  declinedLink = $state.raw<DeclinedLink | null>(null);
  /** True once the address's state has been read; before that nothing is written to it. */
  started = $state(false);
  #filesOpened = 0;
  /** True once `#isolated` has settled. */
  #isSettled = false;
  readonly #isolated: Promise<void>;
  readonly #parts: PageParts;

  /** `isolated` settles once the engine may start: the page may have to be reloaded first. */
  constructor(parts: PageParts, isolated: Promise<void>) {
    this.#parts = parts;
    this.#isolated = isolated;
  }

  /** The address of the visitor's own files, where these are open; null for any other model. */
  get localUrl(): string | null {
    return this.local?.url === this.url ? this.url : null;
  }

  get source(): ModelSource {
    return this.#sourceOf(this.url);
  }

  /** True where the chosen model is the one that this page was built for. */
  get isOwnModel(): boolean {
    return this.url === this.#ownModel();
  }

  linkHere(): Link {
    return readLink(location.href, document.baseURI, () =>
      allowedOrigins(VITE_MODEL_URL, VITE_MODEL_ORIGINS),
    );
  }

  /** Open the model and state of the address, where no open model could be lost. */
  async start(): Promise<void> {
    const { session, compared, viewing, preferences, address } = this.#parts;
    const link = this.linkHere();
    address.followed(location.hash);
    // A link's language is used for the notes while the page waits, too.
    preferences.linkLanguage = link.state.language;
    preferences.linkTheme = link.state.theme;
    preferences.linkWins = link.state.embed;
    viewing.embedded = link.state.embed;
    const listed = this.catalogue.arrive();
    const isFirst = link.linked === null && link.refused === null && configuredModelUrl === null;
    const needsList = namesListed(link) || (isFirst && this.url === '');
    if (this.catalogue.models.length === 0 && needsList) {
      if (!(await session.opening.waitFor('list', listed))) return;
    }
    const target = this.#locate(link);
    this.#take(link, target);
    if (target.refused !== null) {
      compared.close();
      session.opening.refuse(target.refused);
      return;
    }
    await this.#openLinked(link, target);
  }

  /** Follow a link that was opened in this tab. The open model stays until the link's model is known to be there. */
  async follow(): Promise<void> {
    const { address } = this.#parts;
    const { opening } = this.#parts.session;
    const { href, hash } = location;
    if (address.isFollowed(hash)) {
      // Back to the open model, from a link whose model is still being checked.
      opening.stay();
      return;
    }
    if (!opening.holdsModel) {
      await this.start();
      return;
    }
    const link = this.linkHere();
    // Files can only come from this tab's own history: no link names them.
    const files = this.local !== null && filesOfEntry() === this.local.url ? this.local : null;
    let target: Target = { url: files?.url ?? '', missing: null, refused: null };
    const find = async (): Promise<OpenRequest | null> => {
      if (files === null) {
        if (this.catalogue.models.length === 0 && namesListed(link)) await this.catalogue.arrive();
        target = this.#locate(link);
      }
      if (target.refused !== null) throw new ModelError(target.refused);
      const request = this.#requestOf(link, target);
      return opening.isOpenAs(request) ? null : request;
    };
    const checking = opening.mayOpen(find());
    const { replacementId } = opening;
    if (await checking) {
      address.followed(hash);
      this.#take(link, target);
      await this.#openLinked(link, target);
    } else if (replacementId === opening.replacementId && opening.declined !== null) {
      const isOfOpen = target.url === this.url;
      this.declinedLink = { error: opening.declined, href, state: link.state, isOfOpen };
    }
  }

  /** Return where a kept run's model lies; null where the page may not or cannot open it. */
  sourceOfRun({ listed, address, files }: RunModel): ModelSource | null {
    if (files !== null) return this.local?.url === files ? this.#sourceOf(files) : null;
    const here = withoutModelParameter(location.href);
    const [page = ''] = (address === null ? here : withModelParameter(here, address)).split('#');
    const { url, refused } = this.#locate(
      readLink(`${page}#${formatHash({ model: listed })}`, document.baseURI, () =>
        allowedOrigins(VITE_MODEL_URL, VITE_MODEL_ORIGINS),
      ),
    );
    return refused === null && url !== '' ? this.#sourceOf(url) : null;
  }

  /** Show another state, as of a lesson's step: in the open model where it is of that one, else as a link is followed. */
  async show(shown: HashState): Promise<void> {
    const { session, compared, viewing, runs } = this.#parts;
    // The runs that the reader keeps stay, unless the state brings its own.
    const kept = { runs: runs.forLink.runs, leftOut: 0 };
    const state = shown.runs.runs.length === 0 ? { ...shown, runs: kept } : shown;
    const { opening } = session;
    const linked = state.model === null ? this.linked : null;
    const link: Link = { state, ignored: [], isNewer: false, linked, refused: null };
    const target: Target =
      state.model === null ? { url: this.url, missing: null, refused: null } : this.#locate(link);
    const isOpen =
      opening.stage.kind === 'ready' &&
      target.refused === null &&
      target.url === this.url &&
      (state.variant ?? opening.variant) === opening.variant &&
      (state.provider ?? opening.provider) === opening.provider;
    if (linked !== this.linked)
      history.replaceState(history.state, '', withoutModelParameter(location.href));
    if (!isOpen) {
      history.replaceState(history.state, '', `#${formatHash(state)}`);
      await this.follow();
      return;
    }
    this.#take(link, target);
    viewing.baseline = false;
    if (state.compared !== compared.variant) {
      compared.close();
      compared.linked = state.compared;
    }
    await session.prompt.readAgain();
    if (state.open !== null) await session.answers.setActivations(state.open);
    await session.answers.setLens(state.lens ?? logitLens);
  }

  /** Follow a declined link again, with changes. */
  followAgain(href: string, state: HashState | null = null): void {
    const again = state === null ? href : `#${formatHash(state)}`;
    history.replaceState(null, '', again);
    void this.follow();
  }

  /** Open the model of an address, with nothing of what was chosen for the last one. */
  async choose(next: string, files: LocalFiles | null = this.local): Promise<void> {
    const { session, compared, viewing, address, activations } = this.#parts;
    const request = { ...this.#sourceOf(next, files), provider: session.opening.provider };
    if (!(await session.opening.mayOpen(request))) return;
    this.local = files;
    // A link that is made from now on must not open another model than this one.
    if (next !== this.linked) {
      this.linked = null;
      history.replaceState(null, '', withoutModelParameter(location.href));
    }
    this.missing = null;
    address.forget();
    this.url = next;
    activations.reset();
    viewing.selection = NOTHING_SELECTED;
    session.answers.interventions = noInterventions;
    session.prompt.dropStoredIds();
    session.attributions.link(null);
    session.trees.link(null);
    compared.close();
    await session.opening.open(request);
  }

  async openFiles(files: PlacedFile[]): Promise<void> {
    this.filesError = null;
    try {
      const { name, ...found } = findLocalModel(files);
      const url = `local:${++this.#filesOpened}/${encodeURIComponent(name)}`;
      await this.choose(url, { url, local: found, name });
    } catch (error) {
      this.filesError = toModelErrorData(error, 'session');
    }
  }

  /** Open a variant. Null lets the device choose both the variant and the provider. */
  async chooseVariant(variant: string | null): Promise<void> {
    const { opening } = this.#parts.session;
    if (variant !== null) await opening.change({ variant, provider: opening.provider });
    else await opening.change({ variant: null, provider: 'auto' });
  }

  /** Try to open again after a failure, with a change. */
  async retry(change: OtherWay): Promise<void> {
    const { activations } = this.#parts;
    const { opening } = this.#parts.session;
    if (change === 'own-model') await this.choose(this.#ownModel());
    // No model was requested: the address may have been corrected.
    else if (change === 'same' && !opening.hasRequest) await this.start();
    else if (change === 'same') await opening.retry();
    else if (change === 'wasm' || change === 'webgpu') await opening.retry({ provider: change });
    else if (change === 'own-choice') await opening.retry({ variant: null, provider: 'auto' });
    else {
      activations.areOwn = false;
      await opening.retry({ activations: null });
    }
  }

  /** Return the address of the model that this page was built for. */
  #ownModel(): string {
    return ownModelUrl(this.catalogue.models);
  }

  /** Return the source of a model: an address, or the visitor's own files with an address that only identifies them. */
  #sourceOf(url: string, files = this.local): ModelSource {
    return files?.url === url ? { url, local: files.local } : { url };
  }

  #locate(link: Link): Target {
    return targetOf(link, {
      models: this.catalogue.models,
      listError: this.catalogue.error,
      ownModel: this.#ownModel(),
      isConfigured: configuredModelUrl !== null,
    });
  }

  #requestOf({ state }: Link, target: Target): OpenRequest {
    return {
      ...this.#sourceOf(target.url),
      provider: state.provider ?? 'auto',
      ...(state.variant === null ? {} : { variant: state.variant }),
      ...(state.open === null ? {} : { activations: state.open }),
      ...(state.lens === null ? {} : { lens: state.lens }),
    };
  }

  /** Take over the link's state, but open nothing. */
  #take(link: Link, target: Target): void {
    const { session, viewing, preferences, address, activations, runs, course } = this.#parts;
    const { state } = link;
    course.take(state);
    preferences.linkLanguage = state.language;
    preferences.linkTheme = state.theme;
    preferences.linkWins = state.embed;
    viewing.embedded = state.embed;
    ({ linked: this.linked } = link);
    ({ url: this.url, missing: this.missing } = target);
    viewing.sampling = state.sampling;
    viewing.root = state.root;
    viewing.folded = state.folded;
    viewing.alone = state.alone;
    const { token, head, part, comparedPart, shown, overview, attention, lensShown } = state;
    const { neuron, feature, unit } = state;
    viewing.selection = {
      ...NOTHING_SELECTED,
      ...{ token, head, part, comparedPart, shown, overview, attention, lensShown },
      ...{ neuron, feature, unit },
    };
    const { ids, typed, withoutFirst } = state;
    const entry: PromptEntry = { text: state.prompt ?? FIRST_PROMPT, ids, typed, withoutFirst };
    session.prompt.beginWith(entry, state.prompt !== null);
    session.answers.edits.entries = [
      ...switchingOff(state.headsOff).map((edit) => listed(edit)),
      ...state.edits,
    ];
    session.attributions.link(state.attributed);
    session.sweeps.link(state.sweep);
    session.trees.link(state.tree);
    runs.take(state.runs);
    this.#parts.comparisons.take(otherOf(state.other, runs.entries));
    activations.take(state.open);
    address.take(link);
    this.started = true;
  }

  async #openLinked(link: Link, target: Target): Promise<void> {
    const { session, compared } = this.#parts;
    const request = this.#requestOf(link, target);
    const isOpen = session.opening.isOpenAs(request);
    if (!isOpen || link.state.compared !== compared.variant) {
      compared.close();
      compared.linked = link.state.compared;
    }
    if (isOpen) {
      await session.prompt.readAgain();
      return;
    }
    if (!this.#isSettled && !(await session.opening.waitFor('page', this.#isolated))) return;
    this.#isSettled = true;
    await session.opening.open(request);
  }
}

/** Return the comparison's other side that a link says, of these kept runs. */
function otherOf(linked: LinkedOther | null, runs: readonly ListedRun[]): OtherSide {
  if (linked === null) return { kind: 'variant' };
  if (linked.kind !== 'run') return linked;
  const run = runs[linked.index];
  return run === undefined ? { kind: 'variant' } : { kind: 'run', id: run.id };
}
