// The walk through what was dropped: folders that are given in parts, what is passed over, and where it ends.
import { expect, test } from 'vitest';
import { BundleError } from '../../apps/web/src/bundle/bundle_error';
import { maxFiles } from '../../apps/web/src/bundle/sources/local_files';
import { droppedFiles } from '../../apps/web/src/views/files/dropped_files';

interface Tree {
  [name: string]: Tree | string;
}

/** As browsers give it: a hundred entries of a folder at a time, then an empty list. */
function entry(name: string, content: Tree | string, parent = ''): FileSystemEntry {
  const fullPath = `${parent}/${name}`;
  const own = { name, fullPath, isFile: typeof content === 'string' };
  if (typeof content === 'string') {
    const file = (take: (file: File) => void): void => {
      take(new File([content], name));
    };
    return { ...own, isDirectory: false, file } as unknown as FileSystemEntry;
  }
  const createReader = (): unknown => {
    const rest = Object.entries(content).map(([name, inner]) => entry(name, inner, fullPath));
    return {
      readEntries: (take: (entries: FileSystemEntry[]) => void) => {
        take(rest.splice(0, 100));
      },
    };
  };
  return { ...own, isDirectory: true, createReader } as unknown as FileSystemEntry;
}

function dropped(tree: Tree): DataTransfer {
  const items = Object.entries(tree).map(([name, content]) => ({
    webkitGetAsEntry: () => entry(name, content),
  }));
  return { items, files: [] } as unknown as DataTransfer;
}

async function paths(tree: Tree): Promise<string[]> {
  return (await droppedFiles(dropped(tree))).map(({ path }) => path);
}

test('a folder of many files is read to its end, without what nobody wants', async () => {
  const chunks = Object.fromEntries(Array.from({ length: 250 }, (_, at) => [`${at}.bin`, 'x']));
  const found = await paths({
    gpt2: {
      'manifest.json': '{}',
      '.DS_Store': '',
      '.git': { config: '' },
      __MACOSX: { 'manifest.json': '' },
      chunks,
    },
    'notes.txt': '',
  });
  expect(found).toHaveLength(252);
  expect(found).toContain('gpt2/manifest.json');
  expect(found).toContain('gpt2/chunks/249.bin');
  expect(found).toContain('notes.txt');
});

test('a disk is not walked through', async () => {
  const part = Object.fromEntries(Array.from({ length: maxFiles / 4 }, (_, at) => [`${at}`, '']));
  const tree = { a: part, b: part, c: part, d: part };
  await expect(paths(tree)).rejects.toThrow(
    new BundleError({ kind: 'too-many-files', limit: maxFiles }),
  );
});

test('a folder within folders without end is left', async () => {
  let tree: Tree = { 'manifest.json': '' };
  for (let depth = 0; depth < 40; depth++) tree = { deeper: tree };
  expect(await paths({ top: tree })).toEqual([]);
});

test('a file that cannot be read is an error', async () => {
  const file = (_take: unknown, fail: (error: Error) => void): void => {
    fail(new Error('gone'));
  };
  const broken = { name: 'a', fullPath: '/a', isFile: true, isDirectory: false, file };
  const items = [{ webkitGetAsEntry: () => broken }];
  const transfer = { items, files: [] } as unknown as DataTransfer;
  await expect(droppedFiles(transfer)).rejects.toThrow(
    new BundleError({ kind: 'files-missing', names: ['a'], count: 1 }),
  );
});

test('files that have no entries come by their names', async () => {
  const file = new File([''], 'model.onnx');
  const items = [{ webkitGetAsEntry: () => null }];
  const transfer = { items, files: [file] } as unknown as DataTransfer;
  expect(await droppedFiles(transfer)).toEqual([{ path: 'model.onnx', file }]);
});
