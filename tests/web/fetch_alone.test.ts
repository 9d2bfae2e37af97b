// Two tabs and one piece: who fetches it, how long the other one waits, and what it does then.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { fetchAlone } from '../../apps/web/src/bundle/download/fetch_alone';

const quietMs = 20_000;
const name = 'oriel-piece-sha256:1';

/** One lock of the browser, as the page uses it. */
class FakeLocks {
  #held = false;
  readonly #queue: (() => void)[] = [];

  async request<Result>(
    asked: string,
    { ifAvailable, signal }: { ifAvailable?: boolean; signal?: AbortSignal },
    turn: (lock: object | null) => Promise<Result>,
  ): Promise<Result> {
    expect(asked).toBe(name);
    if (this.#held && ifAvailable === true) return turn(null);
    if (this.#held)
      await new Promise<void>((resolve, reject) => {
        this.#queue.push(resolve);
        signal?.addEventListener('abort', () => {
          this.#queue.splice(this.#queue.indexOf(resolve), 1);
          reject(new DOMException('aborted', 'AbortError'));
        });
      });
    this.#held = true;
    try {
      return await turn({});
    } finally {
      this.#held = false;
      this.#queue.shift()?.();
    }
  }
}

/** Messages reach the other ends of the same name at once. */
class FakeChannel {
  static open = new Set<FakeChannel>();
  onmessage: (() => void) | null = null;
  readonly name: string;
  constructor(name: string) {
    this.name = name;
    FakeChannel.open.add(this);
  }
  postMessage(): void {
    for (const other of FakeChannel.open)
      if (other !== this && other.name === this.name) other.onmessage?.();
  }
  close(): void {
    FakeChannel.open.delete(this);
  }
}

beforeEach(() => {
  FakeChannel.open.clear();
  vi.useFakeTimers();
  vi.stubGlobal('navigator', { locks: new FakeLocks() });
  vi.stubGlobal('BroadcastChannel', FakeChannel);
});
afterEach(() => {
  expect(FakeChannel.open.size).toBe(0);
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

interface Tab {
  /** Reasons for waiting as they came; null ends one. */
  readonly waits: (string | null)[];
  /** Whether its own work has begun. */
  begun: boolean;
  /** Ends its work. */
  finish: () => void;
  /** Bytes have arrived. */
  onBytes: () => void;
  /** What came of it. */
  readonly done: Promise<string>;
}

function tab(result: string, signal = new AbortController().signal): Tab {
  const waits: (string | null)[] = [];
  const events = {
    onWaiting: (why: { reason: string } | null): void => void waits.push(why?.reason ?? null),
  };
  let finish = (): void => undefined;
  const finished = new Promise<string>((resolve) => {
    finish = () => {
      resolve(result);
    };
  });
  const tab: Omit<Tab, 'done'> = { waits, finish, begun: false, onBytes: () => undefined };
  const done = fetchAlone('sha256:1', { signal, quietMs }, events, (onBytes) => {
    tab.begun = true;
    tab.onBytes = onBytes;
    return finished;
  });
  done.catch(() => undefined);
  return Object.assign(tab, { done });
}

const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

test('a tab that receives nothing for too long is not waited for, and keeps its turn', async () => {
  const hung = tab('first');
  await pass(0);
  const second = tab('second');
  await pass(quietMs - 1);
  expect([second.begun, second.waits]).toEqual([false, ['other-tab']]);
  await pass(1);
  expect([second.begun, second.waits]).toEqual([true, ['other-tab', null]]);
  second.finish();
  expect(await second.done).toBe('second');
  // It was only asleep.
  hung.finish();
  expect(await hung.done).toBe('first');
});

test('a tab whose bytes arrive is waited for, however slow its line is', async () => {
  const slow = tab('first');
  await pass(0);
  const second = tab('second');
  for (let sign = 0; sign < 20; sign++) {
    await pass(quietMs - 1);
    slow.onBytes();
  }
  expect([second.begun, second.waits]).toEqual([false, ['other-tab']]);
  slow.finish();
  await pass(0);
  expect([second.begun, second.waits]).toEqual([true, ['other-tab', null]]);
  second.finish();
  expect(await second.done).toBe('second');
  // Once its turn has come it takes as long as it takes.
  await slow.done;
});

test('the turn that has come has no limit, and what fails in it is told', async () => {
  const first = tab('first');
  await pass(0);
  const second = tab('second');
  first.finish();
  await pass(3 * quietMs);
  expect(second.begun).toBe(true);
  second.finish();
  expect([await first.done, await second.done]).toEqual(['first', 'second']);
});

test('a Stop ends the waiting, and nothing is fetched', async () => {
  const first = tab('first');
  await pass(0);
  const stop = new AbortController();
  const second = tab('second', stop.signal);
  await pass(1000);
  stop.abort();
  await expect(second.done).rejects.toThrow('aborted');
  await pass(2 * quietMs);
  expect([second.begun, second.waits]).toEqual([false, ['other-tab', null]]);
  first.finish();
  await first.done;
});

test('a browser without locks fetches at once', async () => {
  vi.stubGlobal('navigator', {});
  const tabs = [tab('first'), tab('second')];
  await pass(0);
  for (const { finish } of tabs) finish();
  expect(await Promise.all(tabs.map(({ done }) => done))).toEqual(['first', 'second']);
});
