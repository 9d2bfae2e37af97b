// A host in bad weather: serves a published model from another origin, and does to it what a test says. What the page must
// make of it: weather_loading.spec.ts.
import { readFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const published = fileURLToPath(
  new URL('../../test-results/browser/published/tiny-gpt2/', import.meta.url),
);

export type Fault =
  /** The connection ends after half of what was asked for. */
  | 'dropped'
  /** Half of it, then nothing, without an end. */
  | 'stuck'
  /** A few kilobytes at a time. */
  | 'drip'
  /** A byte at a time, which takes longer than any test. */
  | 'drip-without-end'
  | 'error-500'
  | 'busy'
  | 'busy-for-a-day'
  | 'html'
  | 'missing'
  | 'shorter'
  | 'longer'
  | 'flipped'
  | 'redirect'
  | 'no-cors'
  | 'lying-gzip';

/** `file` is a path below the model's folder; `turn` counts requests for it from 0 on. */
export type Weather = (file: string, turn: number) => Fault | null;

export interface Sent {
  readonly file: string;
  readonly from: number;
  /** Bytes of the file that were handed to the connection. */
  bytes: number;
}

export interface WeatherServer {
  readonly url: string;
  /** Every answer so far that had bytes of a file. */
  readonly sent: Sent[];
  weather: Weather;
  /** From now on the manifest says this version, of the same files. */
  publish(version: string): void;
  close(): Promise<void>;
}

export async function startWeatherServer(): Promise<WeatherServer> {
  const sent: Sent[] = [];
  const turns = new Map<string, number>();
  const timers = new Set<ReturnType<typeof setTimeout>>();
  const state = { weather: (() => null) as Weather, version: null as string | null };
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    const moved = pathname.startsWith('/moved/');
    const file = normalize(join('/', moved ? pathname.slice('/moved'.length) : pathname)).slice(1);
    const turn = turns.get(file) ?? 0;
    turns.set(file, turn + 1);
    const fault = moved ? null : state.weather(file, turn);
    if (fault !== 'no-cors') response.setHeader('Access-Control-Allow-Origin', '*');
    let whole: Buffer;
    try {
      // At once: what is counted stands in the order in which it was asked for.
      whole = readFileSync(join(published, file));
    } catch {
      response.writeHead(404).end();
      return;
    }
    const bytes = file === 'manifest.json' ? versioned(whole, state.version) : whole;
    const asked = /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
    answer({ response, file, whole: bytes, from: Number(asked?.[1] ?? 0) }, fault);
  });

  interface Asked {
    readonly response: ServerResponse;
    readonly file: string;
    readonly whole: Buffer;
    readonly from: number;
  }

  function answer({ response, file, whole, from }: Asked, fault: Fault | null): void {
    const rest = whole.subarray(from);
    const half = rest.subarray(0, rest.length >> 1);
    const send = (bytes: Buffer, announced: number = bytes.length): Sent => {
      response.setHeader('Content-Type', 'application/octet-stream');
      response.setHeader('Content-Length', announced);
      if (from > 0)
        response.setHeader('Content-Range', `bytes ${from}-${whole.length - 1}/${whole.length}`);
      response.writeHead(from > 0 ? 206 : 200);
      const record = { file, from, bytes: bytes.length };
      sent.push(record);
      return record;
    };
    switch (fault) {
      case 'dropped':
        send(half, rest.length);
        response.write(half, () => setTimeout(() => response.destroy(), 50));
        return;
      case 'stuck':
        send(half, rest.length);
        response.write(half);
        return;
      case 'drip':
      case 'drip-without-end': {
        send(rest);
        const portion = fault === 'drip' ? 8192 : 1;
        let at = 0;
        const drop = (): void => {
          response.write(rest.subarray(at, (at += portion)));
          if (at >= rest.length) response.end();
          else timers.add(setTimeout(drop, 20));
        };
        drop();
        return;
      }
      case 'error-500':
        response.writeHead(500).end();
        return;
      case 'busy':
        response
          .writeHead(503, { 'Retry-After': '1', 'Access-Control-Expose-Headers': 'Retry-After' })
          .end();
        return;
      case 'busy-for-a-day':
        response
          .writeHead(429, {
            'Retry-After': '86400',
            'Access-Control-Expose-Headers': 'Retry-After',
          })
          .end();
        return;
      case 'html':
        response
          .writeHead(200, { 'Content-Type': 'text/html' })
          .end('<!doctype html><title>Log in</title>');
        return;
      case 'missing':
        response.writeHead(404).end();
        return;
      case 'shorter':
        send(half);
        response.end(half);
        return;
      case 'longer': {
        const more = Buffer.concat([rest, Buffer.from('more')]);
        send(more);
        response.end(more);
        return;
      }
      case 'flipped': {
        const flipped = Buffer.from(rest);
        flipped[flipped.length >> 1] = (flipped[flipped.length >> 1] ?? 0) ^ 1;
        send(flipped);
        response.end(flipped);
        return;
      }
      case 'redirect':
        response.writeHead(302, { Location: `/moved/${file}` }).end();
        return;
      case 'lying-gzip': {
        const packed = gzipSync(whole);
        response.setHeader('Content-Encoding', 'gzip');
        // The length of what it unpacks to, as some proxies leave it.
        response.writeHead(200, { 'Content-Length': whole.length });
        response.write(packed, () => setTimeout(() => response.destroy(), 50));
        return;
      }
      case 'no-cors':
      case null:
        send(rest);
        response.end(rest);
    }
  }

  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://localhost:${port}/manifest.json`,
    sent,
    get weather() {
      return state.weather;
    },
    set weather(next) {
      state.weather = next;
    },
    publish: (version) => {
      state.version = version;
    },
    close: () =>
      new Promise((resolve) => {
        timers.forEach(clearTimeout);
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

function versioned(manifest: Buffer, version: string | null): Buffer {
  if (version === null) return manifest;
  const content = JSON.parse(manifest.toString('utf8')) as Record<string, unknown>;
  return Buffer.from(JSON.stringify({ ...content, version }));
}
