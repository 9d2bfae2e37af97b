// Firefox by its own WebDriver port, Marionette. It takes WebDriver's commands as JSON over TCP, which is all that
// geckodriver translates; Debian packages Firefox without that one.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { commands, type Session } from './webdriver';

const startMs = 60_000;

const preferences: Record<string, boolean | number | string> = {
  // Any free port; Firefox writes down which.
  'marionette.port': 0,
  'browser.shell.checkDefaultBrowser': false,
  'browser.aboutwelcome.enabled': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'app.update.enabled': false,
  'toolkit.telemetry.enabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
};

/** Starts `program` without a window, with an empty profile. `more` are preferences beside the usual. */
export async function startFirefox(
  program: string,
  more: Readonly<Record<string, boolean | number | string>> = {},
): Promise<Session> {
  const profile = mkdtempSync(join(tmpdir(), 'oriel-firefox-'));
  const lines = Object.entries({ ...preferences, ...more }).map(
    ([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});`,
  );
  writeFileSync(join(profile, 'user.js'), lines.join('\n'));
  const child = spawn(
    program,
    ['--headless', '--no-remote', '--marionette', '--profile', profile],
    {
      stdio: 'ignore',
    },
  );
  const hasEnded = new Promise<void>((resolve) =>
    child.once('exit', () => {
      resolve();
    }),
  );
  const end = async (): Promise<void> => {
    child.kill();
    await hasEnded;
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    // Ubuntu's /usr/bin/firefox without its snap ends at once.
    const ended = hasEnded.then(() => {
      throw new Error(`${program} ended (exit code ${child.exitCode}) before it opened a port`);
    });
    const port = await Promise.race([readPort(join(profile, 'MarionetteActivePort')), ended]);
    const connection = await Marionette.connect(port);
    await connection.send('WebDriver:NewSession', { capabilities: { alwaysMatch: {} } });
    return {
      send: (command, parameters) => connection.send(commands[command][2], parameters),
      close: async () => {
        connection.close();
        await end();
      },
    };
  } catch (error) {
    await end();
    throw error;
  }
}

async function readPort(path: string): Promise<number> {
  const end = Date.now() + startMs;
  for (;;) {
    try {
      const port = Number(readFileSync(path, 'utf8'));
      if (port > 0) return port;
    } catch {
      // Not written yet.
    }
    if (Date.now() > end) throw new Error(`Firefox opened no port within ${startMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

interface Pending {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** Messages are JSON after their length in bytes: `23:[0,1,"WebDriver:…",{…}]`, answered by `[1,1,error,result]`. */
class Marionette {
  readonly #socket: Socket;
  readonly #pending = new Map<number, Pending>();
  #received = Buffer.alloc(0);
  #calls = 0;
  #onGreeting: (() => void) | null = null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (bytes) => {
      this.#received = Buffer.concat([this.#received, bytes]);
      this.#read();
    });
    socket.on('close', () => {
      for (const { reject } of this.#pending.values()) reject(new Error('Firefox has gone'));
      this.#pending.clear();
    });
  }

  static async connect(port: number): Promise<Marionette> {
    const socket = connect(port, '127.0.0.1');
    const connection = new Marionette(socket);
    await new Promise<void>((resolve, reject) => {
      connection.#onGreeting = resolve;
      socket.once('error', reject);
    });
    return connection;
  }

  send(name: string, parameters: Readonly<Record<string, unknown>>): Promise<unknown> {
    const call = ++this.#calls;
    const message = Buffer.from(JSON.stringify([0, call, name, parameters]));
    return new Promise((resolve, reject) => {
      this.#pending.set(call, { resolve, reject });
      this.#socket.write(Buffer.concat([Buffer.from(`${message.length}:`), message]));
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(): void {
    for (;;) {
      const colon = this.#received.indexOf(':');
      if (colon < 0) return;
      const end = colon + 1 + Number(this.#received.subarray(0, colon));
      if (this.#received.length < end) return;
      const message: unknown = JSON.parse(this.#received.subarray(colon + 1, end).toString());
      this.#received = this.#received.subarray(end);
      if (Array.isArray(message)) this.#answer(message as Answer);
      else this.#onGreeting?.();
    }
  }

  #answer([, call, error, result]: Answer): void {
    const pending = this.#pending.get(call);
    this.#pending.delete(call);
    if (error !== null) pending?.reject(new Error(`${error.error}: ${error.message}`));
    // Some answers are wrapped, those that are an object are not.
    else if (result !== null && 'value' in result) pending?.resolve(result['value']);
    else pending?.resolve(result);
  }
}

type Answer = [
  type: 1,
  call: number,
  error: { error: string; message: string } | null,
  result: Record<string, unknown> | null,
];
