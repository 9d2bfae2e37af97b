// The changes of a view that the reader's own state takes, on the page and in a saved page alike.
import type { Actions } from './view_props';
import type { Viewing } from './viewing.svelte';

/** Return what views call to select, to preview, and to choose the scale of colours. */
export function selectionActions(
  viewing: Viewing,
): Pick<Actions, 'select' | 'preview' | 'setRoot'> {
  return {
    select: (changes) => {
      viewing.select(changes);
    },
    preview: (changes) => {
      viewing.preview(changes);
    },
    setRoot: (root) => {
      viewing.root = root;
    },
  };
}
