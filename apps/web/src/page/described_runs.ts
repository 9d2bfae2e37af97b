// Describes the page's present run so that it can be computed again, and opens what a kept description says.
import { fitsLink, type ListedEdit } from '../inference/listed_edits';
import type { KeptRun } from '../inference/kept_runs';
import { withModelParameter, withoutModelParameter } from '../bundle/address/model_parameter';
import { formatHash, fitsLink as fitsInLink } from '../url/hash_state';
import { linkedEdits, linkState, listedName } from './link_state.svelte';
import type { ModelChoice } from './model_choice.svelte';
import type { PageParts } from './page_parts';

/** Characters of a text that a run is named after. */
const NAMED_AFTER = 40;

export class DescribedRuns {
  readonly #parts: PageParts;
  readonly #choice: () => ModelChoice;

  constructor(parts: PageParts, choice: () => ModelChoice) {
    this.#parts = parts;
    this.#choice = choice;
  }

  /** Keep the present run under its text's first words; null where no model is open. */
  keep(nameOf: (text: string, edits: number) => string): void {
    const { session, runs } = this.#parts;
    const { model } = session;
    if (model === null) return;
    const choice = this.#choice();
    const { text, ids, typed, withoutFirst } = session.prompt.entry;
    const edits = session.answers.edits.entries;
    const { name, weights_digest: digest } = model.manifest.model;
    const words = Array.from(text.replace(/\s+/g, ' ').trim());
    const short =
      words.length > NAMED_AFTER ? `${words.slice(0, NAMED_AFTER).join('')}…` : words.join('');
    runs.keep({
      name: nameOf(short, edits.filter(({ isOn }) => isOn).length),
      model: {
        ...{ name, digest, address: choice.linked, files: choice.localUrl },
        listed: choice.localUrl === null ? listedName(choice) : null,
      },
      variant: model.variant.name,
      ...{ text, ids, typed, withoutFirst, edits },
    });
  }

  /** Return whether a kept run is of the model and the variant that are open. */
  isOfOpen({ model: { digest, address, listed, files }, variant }: KeptRun): boolean {
    const { model } = this.#parts.session;
    const choice = this.#choice();
    if (model?.variant.name !== variant) return false;
    if (files !== choice.localUrl) return false;
    if (files === null && (address !== choice.linked || listed !== listedName(choice)))
      return false;
    // A link made by hand may lack the digest.
    return digest === '' || digest === model.manifest.model.weights_digest;
  }

  /** Open a kept run in the place of the present one. */
  async open(run: KeptRun): Promise<void> {
    const choice = this.#choice();
    const { address, listed, files } = run.model;
    if (!this.isOfOpen(run)) {
      if (files !== null) {
        if (choice.localUrl !== files) await choice.choose(files);
        await choice.chooseVariant(run.variant);
      } else {
        const here = location.href;
        const link = new URL(
          address === null ? withoutModelParameter(here) : withModelParameter(here, address),
        );
        const fitting = fitsInLink(run.text, run.ids);
        link.hash = formatHash({
          ...linkState(this.#parts, choice),
          ...{ model: listed, variant: run.variant, compared: null, lens: null, open: null },
          ...(fitting && { prompt: run.text, ids: run.ids, typed: run.typed }),
          ...{ withoutFirst: run.withoutFirst, token: null, head: null, part: null },
          ...linkedEdits(run.edits),
        });
        history.pushState(null, '', link);
        await choice.follow();
      }
      const isWhole = fitsInLink(run.text, run.ids) && run.edits.every(fitsLink);
      // Numbers that no link carries are put in once the model is there.
      if (!this.isOfOpen(run) || (files === null && isWhole)) return;
    }
    await this.#putIn(run, run.edits);
  }

  async #putIn(
    { text, ids, typed, withoutFirst }: KeptRun,
    edits: readonly ListedEdit[],
  ): Promise<void> {
    const { session, viewing } = this.#parts;
    viewing.select({ token: null, lens: null });
    session.prompt.beginWith({ text, ids, typed, withoutFirst }, true);
    session.answers.edits.entries = edits;
    await session.prompt.readAgain();
  }
}
