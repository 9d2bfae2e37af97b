// Records in this browser how much memory was too much, so that no link and no reload fails again in the same way.
import type { Provider } from '../inference/model_types';

/** Records, by provider, of bytes that weights and activations took together. */
export interface MemoryLessons {
  /** Return the bytes that were too much on this provider; null where nothing failed. */
  tooMuch(provider: Provider): number | null;
  learn(provider: Provider, bytes: number): void;
  unlearn(provider: Provider): void;
  /** Mark the start of a run that may crash the tab, which could not report that itself. */
  begin(provider: Provider, bytes: number): void;
  end(): void;
}

const learned = (provider: Provider): string => `oriel.too-much-memory.${provider}`;
const underWay = 'oriel.memory-under-way';

/** `lasting` outlives the tab; `ofTab` outlives a crash of the tab, but not its closing. Either may be switched off. */
export function keptLessons(lasting: () => Storage, ofTab: () => Storage): MemoryLessons {
  const known = new Map<Provider, number | null>();
  const lessons: MemoryLessons = {
    tooMuch: (provider) => {
      const here = known.get(provider);
      if (here !== undefined) return here;
      const bytes = Number(read(lasting, learned(provider)));
      return Number.isFinite(bytes) && bytes > 0 ? bytes : null;
    },
    learn: (provider, bytes) => {
      const least = Math.min(lessons.tooMuch(provider) ?? bytes, bytes);
      known.set(provider, least);
      write(lasting, learned(provider), String(least));
    },
    unlearn: (provider) => {
      known.set(provider, null);
      write(lasting, learned(provider), null);
    },
    begin: (provider, bytes) => {
      write(ofTab, underWay, `${provider} ${bytes}`);
    },
    end: () => {
      write(ofTab, underWay, null);
    },
  };
  // A mark that is still there was left by a tab that ended in the middle of a run.
  const mark = /^(webgpu|wasm) (\d{1,15})$/.exec(read(ofTab, underWay) ?? '');
  if (mark !== null) lessons.learn(mark[1] as Provider, Number(mark[2]));
  lessons.end();
  return lessons;
}

function read(storage: () => Storage, key: string): string | null {
  try {
    return storage().getItem(key);
  } catch {
    return null;
  }
}

function write(storage: () => Storage, key: string, value: string | null): void {
  try {
    if (value === null) storage().removeItem(key);
    else storage().setItem(key, value);
  } catch {
    // Storage is switched off or full: what was learned lasts as long as the page then.
  }
}
