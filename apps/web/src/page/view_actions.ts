// The changes that views ask for, made in the page's parts.
import { withHeadToggled } from '../inference/listed_edits';
import { selectionActions } from '../views/selection_actions';
import type { Actions } from '../views/view_props';
import type { ModelChoice } from './model_choice.svelte';
import type { PageParts } from './page_parts';

/** Return the functions that every view gets. */
export function viewActions(
  { session, viewing, activations }: PageParts,
  choice: ModelChoice,
): Actions {
  return {
    ...selectionActions(viewing),
    toggleHead: (head) => {
      void session.answers.setEdits(withHeadToggled(session.answers.edits.entries, head));
    },
    setEdits: (entries) => {
      void session.answers.setEdits(entries);
    },
    sweep: (asked) => {
      if (asked === null) session.sweeps.cancel();
      else void session.sweeps.run(asked);
    },
    setActivations: (names) => {
      activations.choose(names);
    },
    setLens: (name) => session.answers.setLens(name),
    append: (id) => {
      session.generation.stop();
      void session.prompt.append(id);
    },
    extend: (ids) => {
      void session.prompt.extend(ids);
    },
    replaceToken: (position, id, keepsRest) => {
      void session.prompt.replaceToken(position, id, keepsRest);
    },
    seen: (id) => {
      activations.offer(id);
    },
    nameTokens: (ids) => session.nameTokens(ids),
    setText: (text) => {
      viewing.select({ token: null, lens: null });
      void session.prompt.replace(text);
    },
    sourceOfRun: (run) => choice.sourceOfRun(run.model),
  };
}
