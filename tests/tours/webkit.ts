// WebKitGTK by its own driver, on a screen that need not exist.
import { spawn, type ChildProcess } from 'node:child_process';
import { createServer, type AddressInfo } from 'node:net';
import { commands, type Session } from './webdriver';

const startMs = 60_000;

export interface WebKitPrograms {
  /** WebKitWebDriver. */
  readonly driver: string;
  /** MiniBrowser, which the driver starts. */
  readonly browser: string;
  /** Xvfb; null where there is a display. */
  readonly screen: string | null;
}

export async function startWebKit({ driver, browser, screen }: WebKitPrograms): Promise<Session> {
  const children: ChildProcess[] = [];
  const end = async (): Promise<void> => {
    for (const child of children.reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const hasEnded = new Promise<void>((resolve) =>
        child.once('exit', () => {
          resolve();
        }),
      );
      child.kill();
      await hasEnded;
    }
  };
  try {
    const environment = { ...process.env };
    if (screen !== null) {
      const display = await startScreen(screen, children);
      environment['DISPLAY'] = display;
    }
    const port = await freePort();
    children.push(spawn(driver, [`--port=${port}`], { stdio: 'ignore', env: environment }));
    const root = `http://127.0.0.1:${port}`;
    await untilReady(root);
    const options = { binary: browser, args: ['--automation'] };
    const { sessionId } = (await ask('POST', `${root}/session`, {
      capabilities: {
        alwaysMatch: { browserName: 'MiniBrowser', 'webkitgtk:browserOptions': options },
      },
    })) as { sessionId: string };
    const session = `${root}/session/${sessionId}`;
    return {
      send: (command, parameters) => {
        const [method, path] = commands[command];
        return ask(method, session + path, parameters);
      },
      close: async () => {
        await ask('DELETE', session, {}).catch(() => undefined);
        await end();
      },
    };
  } catch (error) {
    await end();
    throw error;
  }
}

/** Gives the name of a display of its own; Xvfb writes which number was free. */
async function startScreen(program: string, children: ChildProcess[]): Promise<string> {
  const screen = spawn(program, ['-displayfd', '1', '-screen', '0', '1600x1200x24'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  children.push(screen);
  const written = await new Promise<string>((resolve, reject) => {
    screen.stdout.once('data', (bytes: Buffer) => {
      resolve(bytes.toString());
    });
    screen.once('exit', () => {
      reject(new Error(`${program} opened no screen`));
    });
  });
  return `:${written.trim()}`;
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => {
        resolve(port);
      });
    });
  });
}

async function untilReady(root: string): Promise<void> {
  const end = Date.now() + startMs;
  for (;;) {
    try {
      await ask('GET', `${root}/status`, {});
      return;
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

async function ask(
  method: 'GET' | 'POST' | 'DELETE',
  url: string,
  parameters: Readonly<Record<string, unknown>>,
): Promise<unknown> {
  const response = await fetch(url, {
    method,
    ...(method === 'POST' && { body: JSON.stringify(parameters) }),
  });
  const { value } = (await response.json()) as { value: unknown };
  if (response.ok) return value;
  const { error, message } = value as { error: string; message: string };
  throw new Error(`${error}: ${message}`);
}
