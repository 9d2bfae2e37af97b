// The server of the built page behind one that accepts requests for some files and never answers them. What the page must
// make of it: ui_silence.spec.ts.
import { createServer, request as ask } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

/** Milliseconds in place of a limit of bundle/download/retry_policy.ts, by its name, so that no test waits for minutes. */
export type Limits = Readonly<Record<string, number>>;

/** The first limit of each of that file's two lists, and all after it, as they stand in scripts of the build. */
const limitLists = /\b(?:attempts|list):[\d.e]+,(?:\w+:[\d.e]+,?){2,}/g;
/** The first script of the page, and that of its workers. */
const firstScripts = /\/assets\/(?:index|(?:model|download)\.worker-[^/]*)\.js$/;

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
  port = 0,
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
    const headers = { ...request.headers, host: target.host, 'accept-encoding': 'identity' };
    const passed = ask(new URL(path, target), { headers, method: request.method }, (answer) => {
      const { pathname } = new URL(path, target);
      if (pathname.endsWith('.js') && answer.statusCode === 200) {
        void text(answer).then((script) => {
          const headers = { ...answer.headers };
          delete headers['content-length'];
          response.writeHead(200, { ...headers, 'cache-control': 'no-store' });
          response.end((firstScripts.test(pathname) ? prelude : '') + shortened(script, limits));
        });
        return;
      }
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    passed.on('error', () => response.destroy());
    request.pipe(passed);
  });
  await new Promise<void>((resolve) => server.listen(port, 'localhost', resolve));
  const { port: own } = server.address() as AddressInfo;
  return {
    url: `http://localhost:${own}/`,
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

function shortened(script: string, limits: Limits): string {
  return script.replace(limitLists, (list) =>
    Object.entries(limits).reduce(
      (changed, [name, ms]) => changed.replace(new RegExp(`\\b${name}:[\\d.e]+`), `${name}:${ms}`),
      list,
    ),
  );
}
