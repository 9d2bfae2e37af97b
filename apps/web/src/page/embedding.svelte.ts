// The page inside another one: says its size, its state and its errors to the page around it, and follows the states that
// this one asks for. Without `embed` in its address the page tells nobody anything.
import { untrack } from 'svelte';
import { takeEarlyMessages } from '../embed/early_messages';
import { messageToFrame, type FromFrame, type ToFrame } from '../embed/embed_messages';
import { errorText } from '../i18n/error_text';
import { standingAlone, withFields } from '../url/hash_state';
import type { ModelChoice } from './model_choice.svelte';
import type { PageParts } from './page_parts';

/** Join the page to the one around it. Call it while a component is made. `isAnswered` says whether the open model has
 * answered, and `state` is the part after # of a link to what is shown. */
export function joinEmbedder(
  { session, viewing, preferences, address }: PageParts,
  choice: ModelChoice,
  page: { readonly isAnswered: boolean; readonly state: string },
  writeAddressNow: () => void,
): void {
  const around = window.parent === window ? null : window.parent;
  /** Origin of the page around; null until that has said hello. */
  let origin = $state<string | null>(null);
  let isReady = false;

  const say = (message: FromFrame): void => {
    if (origin !== null) around?.postMessage(message, origin);
  };

  const stateAfter = (message: Exclude<ToFrame, { oriel: 'hello' }>): string => {
    if (message.oriel === 'follow') return message.state;
    // A state that is being followed already is changed further; else the address may be a moment behind the page.
    if (address.isFollowed(location.hash)) writeAddressNow();
    return withFields(location.hash.slice(1), message.fields);
  };

  $effect(() => {
    if (!viewing.embedded || around === null) return;
    const hear = (event: MessageEvent): void => {
      if (event.source !== around || (origin !== null && event.origin !== origin)) return;
      const message = messageToFrame(event.data);
      // A page without an origin can't be told apart from others without one.
      if (message === null || event.origin === 'null') return;
      if (message.oriel === 'hello') origin = event.origin;
      else if (origin !== null) choice.followAgain(`#${stateAfter(message)}`);
    };
    addEventListener('message', hear);
    takeEarlyMessages().forEach(hear);
    return () => {
      removeEventListener('message', hear);
    };
  });

  $effect(() => {
    if (origin === null) return;
    const body = document.body;
    const tell = (): void => {
      say({ oriel: 'size', height: Math.max(1, body.scrollHeight) });
    };
    const watch = new ResizeObserver(tell);
    watch.observe(body);
    tell();
    return () => {
      watch.disconnect();
    };
  });

  $effect(() => {
    const { isAnswered, state } = page;
    if (origin === null || !isAnswered) return;
    untrack(() => {
      // To the link's reader the page stands by itself.
      const link = location.href.replace(/#.*/, '') + `#${standingAlone(state)}`;
      say({ oriel: isReady ? 'change' : 'ready', state, link });
      isReady = true;
    });
  });

  $effect(() => {
    const { stage, declined } = session.opening;
    const error = stage.kind === 'failed' ? stage.error : declined;
    if (origin === null || error === null) return;
    untrack(() => {
      say({ oriel: 'error', kind: error.kind, message: errorText(error, preferences.words).what });
    });
  });
}
