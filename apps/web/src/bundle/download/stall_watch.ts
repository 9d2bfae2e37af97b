// Aborts a connection that has received nothing for a while; fetch itself has no such timeout.
import { BundleError } from '../bundle_error';

/** A timeout that restarts with each call of `reset`. When it expires, `signal` aborts and `error` is set. */
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

  /** Restart the timeout. Only a time is stored, not a new timer, as thousands of chunks call this. */
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
