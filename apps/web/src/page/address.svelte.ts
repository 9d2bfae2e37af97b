// The page's address: writes the state after #, remembers what it wrote, and keeps what a followed link says that the
// page ignored. Which model a link opens: model_choice.svelte.ts; the table of fields: url/fields.ts.
import { lensNames } from '../inference/lens_names';
import type { OpenedModel } from '../inference/model_types';
import type { PromptEntry } from '../session/prompt_state.svelte';
import {
  fitsLink,
  formatHash,
  MAX_ADDRESS,
  withoutText,
  type HashState,
  type Ignored,
} from '../url/hash_state';
import type { Link } from '../url/link';
import { misfits } from '../url/misfits';

/** The parts of the last link that the page ignored. */
export interface IgnoredOfLink {
  /** Fields that could not be read. */
  readonly unread: readonly Ignored[];
  /** Things that the opened model or text does not have. */
  readonly absent: readonly Ignored[];
  readonly isNewer: boolean;
}

export class Address {
  /** True where the link leaves the text out, which is longer than a link carries. */
  textTooLong = $state(false);
  /** Null once the reader has closed the note, or chosen a model. */
  ignored = $state.raw<IgnoredOfLink | null>(null);
  /** The last link's state until it was compared with what it opened. */
  #unchecked = $state.raw<HashState | null>(null);
  /** The part after # that the page wrote or followed last. */
  #written = $state('');

  /** Take the address's part after # for known: it is followed, or was written. */
  followed(hash: string): void {
    this.#written = hash.replace(/^#/, '');
  }

  /** The part after # of a link to what is shown. */
  get written(): string {
    return this.#written;
  }

  /** Return whether this part after # is the one that the page wrote or followed last. */
  isFollowed(hash: string): boolean {
    return hash.replace(/^#/, '') === this.#written;
  }

  /** Write the state; `files` is the address of the visitor's own files, where these are open. */
  write(state: HashState, text: PromptEntry, files: string | null): void {
    let hash = formatHash(state);
    let isShort = fitsLink(text.text, text.ids);
    if (hash.length > MAX_ADDRESS) {
      isShort = false;
      hash = formatHash(withoutText(state));
    }
    this.textTooLong = !isShort;
    try {
      history.replaceState(files === null ? null : { files }, '', `#${hash}`);
    } catch (error) {
      // Browsers refuse an address that is too long for them, or changed too often, with a SecurityError.
      if (!(error instanceof DOMException)) throw error;
      this.textTooLong = true;
    }
    // As the browser has it now: it may write some characters in another way.
    this.followed(location.hash);
  }

  /** Tell what could not be read of a link, and remember its state until `check`. */
  take({ ignored, isNewer, state }: Link): void {
    this.ignored = { unread: ignored, absent: [], isNewer };
    this.#unchecked = state;
  }

  /** Forget the followed link: what is open is no longer its model. */
  forget(): void {
    this.ignored = null;
    this.#unchecked = null;
  }

  get isUnchecked(): boolean {
    return this.#unchecked !== null;
  }

  /** Tell which fields of the link are of another model or text than those that it opened, and return their names. */
  check(opened: OpenedModel, tokens: number, views: readonly string[]): readonly Ignored['name'][] {
    if (this.#unchecked === null) return [];
    const variants = opened.offer.variants.map(({ name }) => name);
    const { shape } = opened.manifest.model;
    const lenses = lensNames(opened.manifest);
    const units = opened.manifest.dashboards?.groups ?? [];
    const absent = misfits(this.#unchecked, {
      ...{ shape, variants, lenses, tokens, units, views },
      dictionaries: opened.manifest.dictionaries ?? [],
    });
    this.#unchecked = null;
    if (this.ignored !== null) this.ignored = { ...this.ignored, absent };
    return absent.map(({ name }) => name);
  }
}

/** Return the address of the visitor's own files that were open at this entry of the tab's history. */
export function filesOfEntry(): string | null {
  const entry: unknown = history.state;
  if (typeof entry !== 'object' || entry === null || !('files' in entry)) return null;
  return typeof entry.files === 'string' ? entry.files : null;
}
