// Drawing spread over animation frames: one that fails takes nobody else's turn.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { drawQueued, queueDrawing, queueInTurn } from '../../apps/web/src/charts/draw_queue';

const frames: (() => void)[] = [];

function nextFrame(): void {
  for (const frame of frames.splice(0)) frame();
}

beforeEach(() => {
  vi.stubGlobal('requestAnimationFrame', (frame: () => void) => frames.push(frame));
});

afterEach(() => {
  while (frames.length > 0) nextFrame();
  vi.unstubAllGlobals();
});

function failing(): never {
  throw new Error('a canvas too large');
}

test('a newer drawing of the same owner replaces the one that waits', () => {
  const [older, newer, owner] = [vi.fn(), vi.fn(), {}];
  queueDrawing(owner, older);
  queueDrawing(owner, newer);
  nextFrame();
  expect(older).not.toHaveBeenCalled();
  expect(newer).toHaveBeenCalledOnce();
});

test('after a drawing that fails, those behind it and later ones are drawn', () => {
  const [behind, later] = [vi.fn(), vi.fn()];
  queueDrawing({}, failing);
  queueDrawing({}, behind);
  expect(nextFrame).toThrow('too large');
  nextFrame();
  expect(behind).toHaveBeenCalledOnce();
  queueDrawing({}, later);
  nextFrame();
  expect(later).toHaveBeenCalledOnce();
});

test('what a failing drawing keeps from being drawn at once is drawn in the next frame', () => {
  const behind = vi.fn();
  queueDrawing({}, failing);
  queueDrawing({}, behind);
  expect(drawQueued).toThrow('too large');
  nextFrame();
  expect(behind).toHaveBeenCalledOnce();
});

test('out of sight, a drawing waits for a pause, and the newest one is drawn', () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const [older, newer, owner] = [vi.fn(), vi.fn(), {}];
  const takeBack = queueInTurn(owner, false, older);
  nextFrame();
  vi.advanceTimersByTime(400);
  takeBack();
  queueInTurn(owner, false, newer);
  vi.advanceTimersByTime(400);
  nextFrame();
  expect(newer).not.toHaveBeenCalled();
  vi.advanceTimersByTime(100);
  nextFrame();
  expect(newer).toHaveBeenCalledOnce();
  expect(older).not.toHaveBeenCalled();
  vi.useRealTimers();
});

test('in sight, a drawing takes the next frame', () => {
  const draw = vi.fn();
  queueInTurn({}, true, draw);
  nextFrame();
  expect(draw).toHaveBeenCalledOnce();
});
