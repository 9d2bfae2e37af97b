// The development server behind one that accepts requests for some files and never answers them. What the page must make
// of it: ui_silence.spec.ts.
import { createServer, request as ask } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Milliseconds in place of a limit of bundle/download/retry_policy.ts, by its name, so that no test waits for minutes. */
export type Limits = Readonly<Record<string, number>>;

export interface SilentServer {
  readonly url: string;
  /** How often something was asked for that is not answered. */
  readonly asked: number;
  /** From now on everything is answered. */
  speak(): void;
  close(): Promise<void>;
}

/**
 * `isSilent` is told the path of a request, and what the browser wants it for, such as `worker`. With `empty` the answer
 * is a script that does nothing. `prelude` runs in the page and in its workers before what they ask of the browser.
 */
export async function startSilentServer(
  behind: string,
  isSilent: (path: string, destination: string) => boolean | 'empty',
  limits: Limits,
  prelude = '',
): Promise<SilentServer> {
  const target = new URL(behind);
  let isSpeaking = false;
  let asked = 0;
  const server = createServer((request, response) => {
    const path = request.url ?? '/';
    const silence = isSilent(path, String(request.headers['sec-fetch-dest']));
    if (!isSpeaking && silence !== false) {
      asked += 1;
      if (silence === 'empty') {
        response.writeHead(200, {
          'Content-Type': 'text/javascript',
          'Cache-Control': 'no-store',
          'Cross-Origin-Embedder-Policy': 'require-corp',
        });
        response.end();
      }
      return;
    }
    const headers = { ...request.headers, host: target.host };
    const passed = ask(new URL(path, target), { headers, method: request.method }, (answer) => {
      if (new URL(path, target).pathname.endsWith('/src/bundle/download/retry_policy.ts')) {
        void shortened(answer, limits).then((text) => {
          response.writeHead(200, {
            'Content-Type': 'text/javascript',
            'Cache-Control': 'no-store',
          });
          response.end(prelude + text);
        });
        return;
      }
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    passed.on('error', () => response.destroy());
    request.pipe(passed);
  });
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://localhost:${port}/`,
    get asked() {
      return asked;
    },
    speak: () => {
      isSpeaking = true;
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

async function shortened(answer: AsyncIterable<Uint8Array>, limits: Limits): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const part of answer) parts.push(part);
  let text = Buffer.concat(parts).toString('utf8');
  for (const [name, ms] of Object.entries(limits)) {
    const limit = new RegExp(`\\b${name}: [\\d_.e]+`);
    if (!limit.test(text)) throw new Error(`retry_policy.ts has no limit ${name}`);
    text = text.replace(limit, `${name}: ${ms}`);
  }
  return text;
}
