// What a reader hears of a download, by a clock that the test moves.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { reportDownload, reportIntervalMs } from '../../apps/web/src/inference/download_reports';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

function listen(): { report: (received: number, total: number) => void; heard: number[] } {
  const heard: number[] = [];
  const tell = reportDownload(({ receivedBytes }) => heard.push(receivedBytes));
  const report = (receivedBytes: number, totalBytes: number): void => {
    tell({ receivedBytes, totalBytes, keptBytes: 0, waiting: null });
  };
  return { report, heard };
}

test('a download that stalls is told as far as it came', () => {
  const { report, heard } = listen();
  report(0, 100);
  report(30, 100);
  report(50, 100);
  expect(heard).toEqual([0]);
  vi.advanceTimersByTime(reportIntervalMs);
  expect(heard).toEqual([0, 50]);
});

test('the last byte is told at once, and nothing after it', () => {
  const { report, heard } = listen();
  report(0, 100);
  report(30, 100);
  report(100, 100);
  expect(heard).toEqual([0, 100]);
  vi.advanceTimersByTime(10 * reportIntervalMs);
  expect(heard).toEqual([0, 100]);
});

test('a thousand pieces are a few states', () => {
  const { report, heard } = listen();
  for (let received = 0; received <= 1000; received++) {
    report(received, 1000);
    vi.advanceTimersByTime(1);
  }
  expect(heard.length).toBeLessThanOrEqual(1000 / reportIntervalMs + 2);
  expect(heard).toEqual(heard.toSorted((a, b) => a - b));
});
