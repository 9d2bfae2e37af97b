// The first message of a thread of the runtime. Who sends it: runtime_thread.worker.ts; who waits for it: runtime_threads.ts.

export const threadListens = 'oriel: this thread listens';
