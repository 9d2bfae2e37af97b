// Runs chat templates in a worker, which is ended where one takes too long.
import type { Chat, RenderedChat } from '../tokenizer/render_chat';

export type { Chat, RenderedChat };

/** Longest time that a template may take; known ones take a few milliseconds. */
const LONGEST_MS = 2000;
/** Longest time that the worker's script may take to arrive. */
const LONGEST_START_MS = 20_000;

export class ChatRenderer {
  #worker: Worker | null = null;
  /** Ends the wait for the answer in progress. */
  #giveUp: (() => void) | null = null;

  /** Return what the template makes; null where a newer call has taken this one's place, or after `close`. */
  async render(chat: Chat): Promise<RenderedChat | null> {
    const isRunning = this.#giveUp !== null;
    this.#giveUp?.();
    // A template that still runs holds its worker.
    if (isRunning) this.close();
    const isNew = this.#worker === null;
    const worker = (this.#worker ??= startWorker());
    return new Promise((resolve) => {
      const end = (): void => {
        settle({ kind: 'too-slow', ms: LONGEST_MS });
        this.close();
      };
      let timer = setTimeout(end, isNew ? LONGEST_START_MS : LONGEST_MS);
      const settle = (rendered: RenderedChat | null): void => {
        clearTimeout(timer);
        worker.removeEventListener('message', onMessage);
        worker.removeEventListener('error', onError);
        this.#giveUp = null;
        resolve(rendered);
      };
      const onMessage = ({
        data,
      }: MessageEvent<RenderedChat | { readonly kind: 'ready' }>): void => {
        if (data.kind !== 'ready') {
          settle(data);
          return;
        }
        clearTimeout(timer);
        timer = setTimeout(end, LONGEST_MS);
      };
      const onError = (event: ErrorEvent): void => {
        event.preventDefault();
        settle({ kind: 'refused', detail: event.message });
        this.close();
      };
      this.#giveUp = () => {
        settle(null);
      };
      worker.addEventListener('message', onMessage);
      worker.addEventListener('error', onError);
      worker.postMessage(chat);
    });
  }

  close(): void {
    this.#worker?.terminate();
    this.#worker = null;
    this.#giveUp?.();
  }
}

function startWorker(): Worker {
  return new Worker(new URL('./chat.worker.ts', import.meta.url), {
    type: 'module',
    name: 'oriel-chat',
  });
}
