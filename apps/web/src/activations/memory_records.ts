// Records in this browser how much memory was too much, so that no link and no reload fails again in the same way.
import type { Provider } from '../inference/model_types';

/** Records, by provider, of bytes that weights and activations took together. */
export interface MemoryRecords {
  /** Return the bytes that were too much on this provider; null where nothing failed. */
  tooMuch(provider: Provider): number | null;
  record(provider: Provider, bytes: number): void;
  clear(provider: Provider): void;
  /** Mark the start of a run that may crash the tab, which could not report that itself. */
  begin(provider: Provider, bytes: number): void;
  end(): void;
}

const keyOf = (provider: Provider): string => `oriel.too-much-memory.${provider}`;
const underWay = 'oriel.memory-under-way';

/** `lasting` outlives the tab; `ofTab` outlives a crash of the tab, but not its closing. Either may be switched off. */
export function storedMemoryRecords(lasting: () => Storage, ofTab: () => Storage): MemoryRecords {
  const known = new Map<Provider, number | null>();
  const records: MemoryRecords = {
    tooMuch: (provider) => {
      const here = known.get(provider);
      if (here !== undefined) return here;
      const bytes = Number(read(lasting, keyOf(provider)));
      return Number.isFinite(bytes) && bytes > 0 ? bytes : null;
    },
    record: (provider, bytes) => {
      const least = Math.min(records.tooMuch(provider) ?? bytes, bytes);
      known.set(provider, least);
      write(lasting, keyOf(provider), String(least));
    },
    clear: (provider) => {
      known.set(provider, null);
      write(lasting, keyOf(provider), null);
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
  if (mark !== null) records.record(mark[1] as Provider, Number(mark[2]));
  records.end();
  return records;
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
    // Storage is switched off or full: the records last as long as the page then.
  }
}
