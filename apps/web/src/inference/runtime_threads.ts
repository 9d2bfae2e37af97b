// Keeps references to the runtime's threads. Firefox (ESR 153) garbage-collects a worker's idle worker once nothing
// reachable refers to it, and until its threads compute the runtime refers to them only from pending closures. A thread
// that is collected between its start and its first message never answers, and the runtime waits for it without end. On
// a first visit no collection happens in between; later, one often does.

const kept = new Set<Worker>();

/** A worker that stays until the worker that started it ends. */
class KeptWorker extends Worker {
  constructor(url: string | URL, options?: WorkerOptions) {
    super(url, options);
    kept.add(this);
  }
}

/** Keep all workers that this worker starts from now on for as long as it runs itself. */
export function keepThreads(): void {
  self.Worker = KeptWorker;
}
