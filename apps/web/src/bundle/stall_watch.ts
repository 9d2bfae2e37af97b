// Ends a connection that gives nothing any more, which fetch alone would wait for without end.
import { BundleError } from './bundle_error';

/** Call `reset` with each sign of life. */
export class StallWatch {
  error: BundleError | null = null;
  readonly #stop = new AbortController();
  readonly #url: string;
  readonly #ms: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #last = 0;

  constructor(url: string, ms: number) {
    this.#url = url;
    this.#ms = ms;
    this.reset();
    this.#wait(ms);
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Called with each of thousands of pieces, so the timer itself is left alone. */
  reset(): void {
    this.#last = performance.now();
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  #wait(ms: number): void {
    this.#timer = setTimeout(() => {
      const left = this.#last + this.#ms - performance.now();
      if (left > 0) {
        this.#wait(left);
        return;
      }
      this.error = new BundleError({ kind: 'stalled', url: this.#url, ms: this.#ms });
      this.#stop.abort();
    }, ms);
  }
}
