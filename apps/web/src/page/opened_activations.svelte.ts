// Opens activations for the reader: those chosen by name, and those that a view draws once it comes into sight.
import type { ModelSession } from '../session/model_session.svelte';
import { VIEWS } from '../views/registry';
import { openedWhenSeen } from '../views/which_views';

export class OpenedActivations {
  /** True where activations other than the exported ones were requested, by the reader or by a link. */
  areOwn = $state(false);
  /** Views that have opened what they draw, or may not since a link says what is open. */
  #offered: readonly string[] = [];
  readonly #session: ModelSession;

  constructor(session: ModelSession) {
    this.#session = session;
  }

  /** Forget what was opened: the model's exported activations are, and views may open theirs. */
  reset(): void {
    this.areOwn = false;
    this.#offered = [];
  }

  /** Take over which activations a link opens; null where it says nothing. */
  take(open: readonly string[] | null): void {
    this.areOwn = open !== null;
    this.#offered = this.areOwn ? VIEWS.map(({ id }) => id) : [];
  }

  choose(names: readonly string[]): void {
    this.areOwn = true;
    const chosen = names.filter((name) => name !== 'logits');
    void this.#session.answers.setActivations([...chosen, ...this.#arriving(chosen)]);
  }

  chooseExported(): void {
    this.areOwn = false;
    void this.#session.answers.setActivations(null);
  }

  /** Open what a view draws when it first comes into sight, where that costs little and shows much. */
  offer(id: string): void {
    const view = VIEWS.find((view) => view.id === id);
    const { model } = this.#session;
    if (view === undefined || model === null || this.#session.opening.stage.kind !== 'ready')
      return;
    const wanted = openedWhenSeen(view, model);
    if (this.#offered.includes(id) || wanted.length === 0) return;
    this.#offered = [...this.#offered, id];
    const open = model.activations.filter((name) => name !== 'logits');
    const more = wanted.filter((name) => !open.includes(name));
    const next = [...open, ...more];
    void this.#session.answers.setActivations([...next, ...this.#arriving(next)]);
  }

  /** List what was requested a moment ago and isn't open yet, but for these: a view that knows only what is open drops it. */
  #arriving(besides: readonly string[]): string[] {
    const { model, chosen } = this.#session;
    const settled = [...besides, ...(model?.activations ?? [])];
    const leftOut = chosen.leftOut?.names;
    return (chosen.wanted ?? []).filter(
      (name) => !settled.includes(name) && !(leftOut?.has(name) ?? false),
    );
  }
}
