// Limits how often a download's progress is reported: pieces come in thousands, readers see a few states a second.
import type { DownloadState } from '../bundle/download/download_progress';
import type { Progress } from './model_types';

export const reportIntervalMs = 50;

/** Report the first and the last state at once, others at most every `reportIntervalMs`. The state of a stalled
 * download is reported too, without waiting for a piece that may never come. */
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
