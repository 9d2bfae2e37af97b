// `import parts from '…?parts'` gives the addresses of a file's parts, since some hosts refuse files over 25 MiB. In
// development there is one part, the file itself. They are joined in src/inference/join_parts.ts.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import type { Plugin, ResolvedConfig } from 'vite';

const suffix = '?parts';
const partBytes = 20 * 1024 * 1024;

export function fileParts(): Plugin {
  let config: ResolvedConfig;
  return {
    name: 'oriel:file-parts',
    enforce: 'pre',
    configResolved(resolved) {
      config = resolved;
    },
    async resolveId(id, importer) {
      if (!id.endsWith(suffix)) return null;
      const file = await this.resolve(id.slice(0, -suffix.length), importer, { skipSelf: true });
      return file === null ? null : file.id + suffix;
    },
    async load(id) {
      if (!id.endsWith(suffix)) return null;
      const file = id.slice(0, -suffix.length);
      const parts =
        config.command === 'build' ? await cut(file, join(config.cacheDir, 'parts')) : [file];
      const imports = parts.map(
        (path, index) => `import part${index} from ${JSON.stringify(`${path}?url`)};`,
      );
      const names = parts.map((_, index) => `part${index}`).join(', ');
      return [...imports, `export default [${names}];`].join('\n');
    },
  };
}

/** Paths of the parts; of the file itself where it is small enough. */
async function cut(file: string, folder: string): Promise<string[]> {
  const bytes = await readFile(file);
  if (bytes.length <= partBytes) return [file];
  await mkdir(folder, { recursive: true });
  const extension = extname(file);
  const count = Math.ceil(bytes.length / partBytes);
  return Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const path = join(folder, `${basename(file, extension)}.part${index + 1}${extension}`);
      await writeFile(path, bytes.subarray(index * partBytes, (index + 1) * partBytes));
      return path;
    }),
  );
}
