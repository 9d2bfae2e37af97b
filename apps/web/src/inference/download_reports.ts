// How often a download is told of: pieces come in thousands, and a reader sees a few states a second.
import type { DownloadState } from '../bundle/download_progress';
import type { Progress } from './model_types';

export const reportIntervalMs = 50;

/** The first and the last state at once, others at most every `reportIntervalMs`; what a stalled download has got so
 * far is told too, without waiting for a piece that may never come. */
export function reportDownload(
  onProgress: (progress: Progress) => void,
): (state: DownloadState) => void {
  let last = -Infinity;
  let timer: ReturnType<typeof setTimeout> | undefined;
  return (state) => {
    const report = (): void => {
      timer = undefined;
      last = performance.now();
      onProgress({ phase: 'download', ...state });
    };
    clearTimeout(timer);
    const wait = last + reportIntervalMs - performance.now();
    if (state.receivedBytes >= state.totalBytes || wait <= 0) report();
    else timer = setTimeout(report, wait);
  };
}
