// Starts the runtime's threads so that none misses its first message. Firefox (ESR 153, and before) drops what is posted
// to a module worker inside a worker while its script is still on its way. The runtime posts the memory and the compiled
// module to each thread once they are there: on a first visit long after the threads have started, later, when the
// browser has kept the compiled module, before. The thread then never answers, and the runtime waits for it without end.
import threadScript from './runtime_thread.worker?worker&url';
import { threadListens } from './thread_listens';

/** How the runtime names its threads, and how its own module knows that it runs in one. */
const threadName = 'em-pthread';

type Message = [message: unknown, ...rest: unknown[]];

/** A worker that is given nothing before it listens. */
class ThreadWorker extends Worker {
  /** null once the thread listens. */
  #held: Message[] | null = [];

  constructor(url: string | URL, options?: WorkerOptions) {
    const isThread = options?.name?.startsWith(threadName) === true;
    super(isThread ? new URL(threadScript, self.location.href) : url, options);
    if (!isThread) {
      this.#held = null;
      return;
    }
    // Before the runtime's own listener, which knows nothing of this message.
    this.addEventListener('message', (event: MessageEvent) => {
      if (event.data !== threadListens) return;
      event.stopImmediatePropagation();
      const held = this.#held ?? [];
      this.#held = null;
      for (const message of held) this.#post(message);
    });
  }

  override postMessage(...message: Message): void {
    if (this.#held === null) this.#post(message);
    else this.#held.push(message);
  }

  #post(message: Message): void {
    super.postMessage(...(message as Parameters<Worker['postMessage']>));
  }
}

/** From now on threads of the runtime that this worker starts are given nothing before they listen. */
export function holdMessagesForThreads(): void {
  self.Worker = ThreadWorker;
}
