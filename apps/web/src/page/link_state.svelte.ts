// Keeps the address in step with the page: the state that a link to it carries, and when it is written.
import { untrack } from 'svelte';
import type { Answer } from '../session/answer';
import type { AskedSweep } from '../session/patch_sweeps.svelte';
import type { PromptEntry } from '../session/prompt_state.svelte';
import { LENS_AT_FIRST } from '../analysis/lens_measures';
import { withModelParameter, withoutModelParameter } from '../bundle/address/model_parameter';
import { headOff, type ListedEdit } from '../inference/listed_edits';
import type { OpenedModel } from '../inference/model_types';
import { MAX_OTHER, type LinkedOther } from '../url/fields';
import { fitsLink, NOTHING_LINKED, type HashState } from '../url/hash_state';
import type { LinkedSweep } from '../url/question_fields';
import { FIRST_PROMPT } from '../views/prompt/example_prompts';
import { VIEWS } from '../views/registry';
import type { Selection } from '../views/viewing.svelte';
import type { ModelChoice } from './model_choice.svelte';
import type { PageParts } from './page_parts';

/** Milliseconds after the last change before the address is written: browsers limit how often it may be. */
const WRITE_AFTER_MS = 300;

export interface Shown {
  /** The model that can be asked; null while an example is shown in its place. */
  readonly opened: OpenedModel | null;
  readonly answer: Answer | null;
}

/** Write the address as the page changes, and check a followed link once its model has answered. Call it while a
 * component is made. Returns a function that writes the address at once. */
export function keepAddress(parts: PageParts, choice: ModelChoice, shown: Shown): () => void {
  const { session, compared, viewing, address } = parts;
  const state = $derived(linkState(parts, choice));

  const write = (now: HashState): void => {
    untrack(() => {
      address.write(now, session.prompt.entry, choice.localUrl);
    });
  };

  // A link's state in the right form can still be of another model or text; that shows once both are here.
  $effect(() => {
    const { opened, answer } = shown;
    if (!address.isUnchecked || opened === null || answer === null) return;
    const tokens = answer.tokens.length;
    untrack(() => {
      const absent = address.check(
        opened,
        tokens,
        VIEWS.map(({ id }) => id),
      );
      if (absent.includes('compared') && compared.variant === null) compared.linked = null;
      if (absent.includes('other')) parts.comparisons.take({ kind: 'variant' });
      if (absent.includes('lens')) session.opening.noteLens(null);
      if (absent.includes('attributed')) session.attributions.link(null);
      const changes: Partial<Selection> = {};
      for (const name of ['token', 'head', 'shown', 'neuron', 'feature', 'unit'] as const)
        if (absent.includes(name)) changes[name] = null;
      if (absent.includes('lensShown')) changes.lensShown = LENS_AT_FIRST;
      viewing.select(changes);
      if (absent.includes('alone')) viewing.alone = null;
      if (absent.includes('folded'))
        viewing.folded = viewing.folded.filter((id) => VIEWS.some((view) => view.id === id));
    });
  });

  // The address describes the open model, not a declined one.
  $effect(() => {
    if (session.opening.declined === null || !choice.started) return;
    untrack(() => {
      const { href } = location;
      const here = choice.linkHere();
      if (here.linked !== choice.linked || here.refused !== null) {
        const own =
          choice.linked === null
            ? withoutModelParameter(href)
            : withModelParameter(href, choice.linked);
        history.replaceState(null, '', own);
      }
      write(state);
    });
  });

  $effect(() => {
    if (!choice.started) return;
    const now = state;
    const waiting = setTimeout(() => {
      // A link that was opened a moment ago is followed first: writing would take it away.
      if (address.isFollowed(location.hash)) write(now);
    }, WRITE_AFTER_MS);
    return () => {
      clearTimeout(waiting);
    };
  });

  return () => {
    if (choice.started) write(state);
  };
}

/** Return the name by which a link finds the open model in the host's list; null for the page's own, and by an address. */
export function listedName(choice: ModelChoice): string | null {
  const model = choice.catalogue.models.find((entry) => entry.url === choice.url);
  const isOwn = model === undefined || model.name === 'demo';
  return choice.missing ?? (isOwn ? null : model.name);
}

/** Return the state that a link to the page carries. */
export function linkState(parts: PageParts, choice: ModelChoice): HashState {
  const { session, compared, viewing, preferences, activations, runs, course } = parts;
  const { token, head, part, comparedPart, shown, overview, attention, lensShown } =
    viewing.selection;
  const { neuron, feature, unit } = viewing.selection;
  const ofReader = {
    ...NOTHING_LINKED,
    ...textInLink(session.prompt.entry),
    sampling: viewing.sampling,
    root: viewing.root,
    folded: viewing.folded,
    alone: viewing.alone,
    runs: runs.forLink,
    other: linkedOther(parts),
    provider: session.opening.provider === 'auto' ? null : session.opening.provider,
    // A link carries no language, so that its receiver reads in their own.
    language: preferences.linkLanguage,
    ...course.linked,
    theme: preferences.linkTheme,
    embed: viewing.embedded,
  };
  // No link opens files of this device, so it carries no state of such a model.
  if (choice.localUrl !== null) return ofReader;
  return {
    ...ofReader,
    model: listedName(choice),
    variant: session.opening.variant,
    compared: compared.variant ?? compared.linked,
    ...{ token, head, part, comparedPart, shown, overview, attention, lensShown },
    ...{ neuron, feature, unit },
    ...linkedEdits(session.answers.edits.entries),
    attributed: session.attributions.shared,
    sweep: linkedSweep(session.sweeps.form),
    tree: session.trees.shared,
    lens: session.opening.lens,
    // All requested activations, also where this device has no memory for them: another one may.
    open: activations.areOwn ? session.chosen.wanted : null,
  };
}

/** Return what a link says of the comparison's other side: a kept run that it leaves out, or a long text, is not said. */
function linkedOther({ comparisons, runs }: PageParts): LinkedOther | null {
  const { other, run } = comparisons;
  if (other.kind === 'variant' || other.kind === 'unedited')
    return other.kind === 'variant' ? null : other;
  if (other.kind === 'text')
    return other.text !== '' && other.text.length <= MAX_OTHER ? other : null;
  const index = run === null ? -1 : runs.forLink.runs.indexOf(run);
  return index < 0 ? null : { kind: 'run', index };
}

/** Heads that are off have a field of their own, which older pages read too. */
export function linkedEdits(entries: readonly ListedEdit[]): Pick<HashState, 'headsOff' | 'edits'> {
  const off = entries.map((entry) => (entry.isOn ? headOff(entry) : null));
  return {
    headsOff: off.filter((head) => head !== null),
    edits: entries.filter((_, at) => off[at] === null),
  };
}

/** Return the form of the sweep without what is this device's own; null where it has no text. */
function linkedSweep({ text, over, metric, answer, other }: AskedSweep): LinkedSweep | null {
  return text.trim() === '' ? null : { text, over, metric, answer, other };
}

function textInLink(entry: PromptEntry): Partial<HashState> {
  const { text, ids, typed, withoutFirst } = entry;
  if (!fitsLink(text, ids)) return {};
  return {
    prompt: text === FIRST_PROMPT && ids === null ? null : text,
    ids,
    typed: ids === null ? null : typed,
    withoutFirst,
  };
}
