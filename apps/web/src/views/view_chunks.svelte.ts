// Loads the components of views, each a file of its own, once a model is on its way. One that did not come can be
// requested again.
import type { Component } from 'svelte';
import { VIEWS, type View } from './registry';
import type { ViewProps } from './view_props';

export class ViewChunk {
  component = $state.raw<Component<ViewProps> | null>(null);
  /** True where the file did not come, as without a network or after a new deploy. */
  failed = $state(false);
  readonly #import: View['component'];
  #isLoading = false;

  constructor(load: View['component']) {
    this.#import = load;
  }

  /** Load the component where that has not been done. Never rejects. */
  async load(): Promise<void> {
    if (this.component !== null || this.#isLoading) return;
    this.#isLoading = true;
    this.failed = false;
    try {
      this.component = (await this.#import()).default;
    } catch (error) {
      console.error(error);
      this.failed = true;
    } finally {
      this.#isLoading = false;
    }
  }
}

const chunks = new Map(VIEWS.map((view) => [view.id, new ViewChunk(view.component)]));

export function chunkOf(view: View): ViewChunk {
  const chunk = chunks.get(view.id);
  if (chunk === undefined) throw new RangeError(`no view is called ${view.id}`);
  return chunk;
}

/** Load all views, in the page's order: printing takes what is there, so none may wait until it is seen. */
export function loadViews(): void {
  for (const chunk of chunks.values()) void chunk.load();
}
