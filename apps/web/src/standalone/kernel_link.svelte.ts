// Asks a notebook's Python for other answers, through the notebook around the page. Without a kernel nothing answers, and
// the page stays what it is: saved results.
import { messageToPage, type FromPage, type Question } from '../saved_page/kernel_messages';

export interface Heard {
  /** A record that replaces the one shown. */
  readonly onRecord: (text: string) => void;
  readonly onRefused: (reason: string) => void;
}

export class KernelLink {
  /** True once the notebook has said that Python can be asked. */
  ready = $state(false);
  /** True while an answer is awaited. */
  asking = $state(false);
  readonly #token: string | null;
  readonly #notebook: Window;

  /** `token` is the display's; null for a page outside a notebook, which asks nobody. */
  constructor(token: string | null, notebook: Window = window.parent) {
    this.#token = token;
    this.#notebook = notebook;
  }

  /** Begin to listen, and say that the page is there. Returns what ends it. */
  listen({ onRecord, onRefused }: Heard): () => void {
    const token = this.#token;
    if (token === null || this.#notebook === window) return () => undefined;
    const hear = ({ source, data }: MessageEvent): void => {
      const message = source === this.#notebook ? messageToPage(data, token) : null;
      if (message === null) return;
      this.ready = true;
      if (message.oriel === 'ready') return;
      this.asking = false;
      if (message.oriel === 'answer') onRecord(message.record);
      else onRefused(message.reason);
    };
    addEventListener('message', hear);
    this.#say({ oriel: 'hello', token });
    return () => {
      removeEventListener('message', hear);
    };
  }

  ask(question: Question): void {
    if (!this.ready || this.#token === null) return;
    this.asking = true;
    this.#say({ oriel: 'ask', token: this.#token, question });
  }

  /** A page without an origin can't know its notebook's: what it says holds nothing that the notebook lacks. */
  #say(message: FromPage): void {
    this.#notebook.postMessage(message, '*');
  }
}
