// The publisher's precomputed example of the model that is being opened.
import { toModelErrorData } from '../inference/model_error';
import type { ModelClient } from '../inference/client_interface';
import type { OpenRequest } from '../inference/model_types';
import { exampleOf, type Example } from './published_example';

export class PublishedExample {
  /** True where the example could not be used; the model itself opens all the same. */
  failed = $state(false);
  current = $state.raw<Example | null>(null);
  /** Address of the model whose example is current. */
  #url: string | null = null;

  /** Fetch the model's example, unless it is here. `takeText` is given its text first. */
  async fetch(
    client: ModelClient,
    request: OpenRequest,
    isCurrent: () => boolean,
    takeText: (text: string) => void,
  ): Promise<void> {
    if (this.current !== null && request.url === this.#url) return;
    this.current = null;
    this.failed = false;
    try {
      const pass = await client.firstPass(request);
      if (!isCurrent() || pass === null) return;
      takeText(pass.prompt);
      this.current = exampleOf(pass);
      this.#url = request.url;
    } catch (thrown) {
      const { kind } = toModelErrorData(thrown, 'session');
      // A manifest that cannot be fetched is reported by the opening.
      const own = kind === 'integrity' || kind === 'too-large' || kind === 'not-found';
      if (isCurrent()) this.failed = own;
    }
  }
}
