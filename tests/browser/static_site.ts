// A static host for a built page, as plain or as well set up as a test wants, that can be closed and deployed to anew.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';

const knownTypes: Record<string, string> = {
  '.css': 'text/css',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
  '.woff2': 'font/woff2',
};

export interface SiteOptions {
  /** The built folder. */
  readonly folder: string;
  /** Path that it is served under, such as `/some/where/`. */
  readonly base: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Media types of endings that plain hosts don't know. */
  readonly mediaTypes?: Readonly<Record<string, string>>;
  /** Paths below the base that the host hasn't got. */
  readonly missing?: readonly string[];
}

export interface StaticSite {
  /** Address of the page. */
  readonly url: string;
  /** Paths below the base that were asked for so far, with what was answered. */
  readonly requests: { path: string; status: number }[];
  /** From now on serves another folder. */
  deploy(folder: string): void;
  /** Lets requests for these files wait until the function that it gives is called. */
  holdBack(...paths: string[]): () => void;
  /** From now on serves these files from other folders. */
  mixIn(files: Readonly<Record<string, string>>): void;
  close(): Promise<void>;
}

export async function startSite(options: SiteOptions): Promise<StaticSite> {
  const { folder, base, headers = {}, missing = [] } = options;
  const mediaTypes = { ...knownTypes, ...options.mediaTypes };
  let mixed: Readonly<Record<string, string>> = {};
  const held = new Map<string, Promise<void>>();
  const requests: { path: string; status: number }[] = [];
  let served = folder;
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    const path = pathname.startsWith(base) ? pathname.slice(base.length) : null;
    const file = path === '' ? 'index.html' : path;
    const answer = (status: number, bytes: Buffer | string): void => {
      requests.push({ path: path ?? pathname, status });
      response.writeHead(status, {
        ...headers,
        'Content-Type': mediaTypes[extname(file ?? '')] ?? 'application/octet-stream',
        'Content-Length': Buffer.byteLength(bytes),
        // As GitHub Pages has it, for everything.
        'Cache-Control': 'max-age=600',
      });
      response.end(bytes);
    };
    const read = async (name: string): Promise<Buffer> => {
      await held.get(name);
      if (missing.includes(name)) throw new Error('the host has no such file');
      return readFile(join(mixed[name] ?? served, normalize(join('/', decodeURIComponent(name)))));
    };
    const reading = file === null ? Promise.reject(new Error('outside the base')) : read(file);
    reading.then(
      (bytes) => {
        answer(200, bytes);
      },
      () => {
        answer(404, '');
      },
    );
  });
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://localhost:${port}${base}`,
    requests,
    deploy: (next) => {
      served = next;
    },
    holdBack: (...paths) => {
      let release: () => void = () => undefined;
      const released = new Promise<void>((resolve) => (release = resolve));
      for (const path of paths) held.set(path, released);
      return release;
    },
    mixIn: (files) => {
      mixed = files;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}
