// Times what a worker does, and hands the answer or the error to the page.
import type { Answer } from './jobs';

export function milliseconds(began: number): number {
  return performance.now() - began;
}

/** Each time in milliseconds, and what the last one gave. */
export async function timed<Result>(
  times: number,
  run: () => Promise<Result>,
): Promise<{ times: number[]; result: Result }> {
  const taken: number[] = [];
  for (;;) {
    const began = performance.now();
    const result = await run();
    taken.push(milliseconds(began));
    if (taken.length >= times) return { times: taken, result };
  }
}

/** `measure` gets only jobs of its own library: measure.ts sees to that. */
export function answerJobs(measure: (job: never) => Promise<Answer>): void {
  self.onmessage = ({ data }: MessageEvent) => {
    measure(data as never).then(
      (answer) => {
        self.postMessage({ answer });
      },
      (error: unknown) => {
        self.postMessage({ error: String(error) });
      },
    );
  };
}
