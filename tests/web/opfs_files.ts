// A private file system in memory, with the few calls of it that the store of pieces makes.
import type { RecordKeeper } from '../../apps/web/src/bundle/storage/opfs_store';

export interface FakeFiles {
  /** Contents by name. */
  readonly files: Map<string, Uint8Array>;
  /** Names of the files that are open for writing, which nobody else can open. */
  readonly locked: Set<string>;
  /** Sizes of the buffers that files were read into. */
  readonly readInto: number[];
  readonly records: RecordKeeper;
  /** Bytes that may still be written before the browser refuses. */
  room: number;
}

export function fakeFiles(): FakeFiles {
  const fake: FakeFiles = {
    files: new Map(),
    locked: new Set(),
    readInto: [],
    room: Infinity,
    records: {
      folder: () => folder as unknown as FileSystemDirectoryHandle,
      recorded: () => Promise.resolve(),
      makeRoom: () => Promise.resolve(),
    },
  };
  const folder = {
    getFileHandle: async (name: string, options?: { create?: boolean }) => {
      await Promise.resolve();
      if (!fake.files.has(name)) {
        if (options?.create !== true) throw new DOMException(name, 'NotFoundError');
        fake.files.set(name, new Uint8Array(0));
      }
      return {
        createSyncAccessHandle: async ({ mode }: { mode: string }) => {
          await Promise.resolve();
          return openFile(fake, name, mode === 'readwrite');
        },
        getFile: () =>
          Promise.resolve(new Blob([(fake.files.get(name) ?? new Uint8Array()).slice()])),
      };
    },
    removeEntry: (name: string) => {
      if (fake.locked.has(name))
        return Promise.reject(new DOMException(name, 'NoModificationAllowedError'));
      fake.files.delete(name);
      return Promise.resolve();
    },
  };
  return fake;
}

function openFile(fake: FakeFiles, name: string, isForWriting: boolean): object {
  if (fake.locked.has(name)) throw new DOMException(name, 'NoModificationAllowedError');
  if (isForWriting) fake.locked.add(name);
  const content = (): Uint8Array => fake.files.get(name) ?? new Uint8Array(0);
  return {
    getSize: () => content().length,
    truncate: (size: number) => {
      const cut = new Uint8Array(size);
      cut.set(content().subarray(0, size));
      fake.files.set(name, cut);
    },
    read: (into: Uint8Array, { at }: { at: number }) => {
      fake.readInto.push(into.buffer.byteLength);
      const part = content().subarray(at, at + into.length);
      into.set(part);
      return part.length;
    },
    write: (bytes: Uint8Array, { at }: { at: number }) => {
      const grown = new Uint8Array(Math.max(content().length, at + bytes.length));
      fake.room -= grown.length - content().length;
      if (fake.room < 0) throw new DOMException('full', 'QuotaExceededError');
      grown.set(content());
      grown.set(bytes, at);
      fake.files.set(name, grown);
      return bytes.length;
    },
    close: () => {
      if (isForWriting) fake.locked.delete(name);
    },
  };
}
