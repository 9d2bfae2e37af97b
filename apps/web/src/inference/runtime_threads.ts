// Keeps the runtime's threads reachable. Firefox (ESR 153) collects a worker's own worker that is idle once nothing that it
// follows refers to it, and the runtime refers to its threads from waiting closures alone until they compute. A thread that
// was collected between its start and its first message never answers, and the runtime waits for it without end. On a
// first visit no collection comes in between; later, one often does.

const kept = new Set<Worker>();

/** A worker that stays until the worker that started it ends. */
class KeptWorker extends Worker {
  constructor(url: string | URL, options?: WorkerOptions) {
    super(url, options);
    kept.add(this);
  }
}

/** From now on workers that this worker starts are kept for as long as it runs itself. */
export function keepThreads(): void {
  self.Worker = KeptWorker;
}
