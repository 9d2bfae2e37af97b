// The WebDriver commands that a tour needs, over whatever carries them: Firefox's own port or WebKit's driver. Both speak
// the same standard (https://www.w3.org/TR/webdriver2/), so that one tour serves both.

/** Each command as HTTP has it below `/session/ID`, and by the name that Firefox's Marionette gives it. */
export const commands = {
  navigate: ['POST', '/url', 'WebDriver:Navigate'],
  refresh: ['POST', '/refresh', 'WebDriver:Refresh'],
  execute: ['POST', '/execute/async', 'WebDriver:ExecuteAsyncScript'],
  screenshot: ['GET', '/screenshot', 'WebDriver:TakeScreenshot'],
  perform: ['POST', '/actions', 'WebDriver:PerformActions'],
  setTimeouts: ['POST', '/timeouts', 'WebDriver:SetTimeouts'],
  setWindow: ['POST', '/window/rect', 'WebDriver:SetWindowRect'],
} as const;

export type Command = keyof typeof commands;

/** A session that is open in a browser. */
export interface Session {
  /** Rejects with the browser's own message. */
  send(command: Command, parameters: Readonly<Record<string, unknown>>): Promise<unknown>;
  /** Ends the browser and whatever carried its commands. */
  close(): Promise<void>;
}

/** Where an element stands in the window, in CSS pixels. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const timeoutMs = 120_000;
const pollMs = 250;
/** A script of the page answers long before this. */
const scriptMs = 60_000;

export class WebDriver {
  readonly #session: Session;

  private constructor(session: Session) {
    this.#session = session;
  }

  /** Sets the window's size and the time limits, so that a page that hangs fails its test. */
  static async over(session: Session, width: number, height: number): Promise<WebDriver> {
    await session.send('setTimeouts', { script: scriptMs, pageLoad: scriptMs });
    await session.send('setWindow', { x: 0, y: 0, width, height });
    return new WebDriver(session);
  }

  async goto(url: string): Promise<void> {
    await this.#session.send('navigate', { url });
  }

  async reload(): Promise<void> {
    await this.#session.send('refresh', {});
  }

  /** Runs a function in the page. It may use nothing but its arguments and what pages have. */
  async evaluate<Arguments extends readonly unknown[], Result>(
    body: (...values: Arguments) => Result,
    ...values: Arguments
  ): Promise<Awaited<Result>> {
    const script = `
      const done = arguments[arguments.length - 1];
      const values = Array.prototype.slice.call(arguments, 0, -1);
      Promise.resolve().then(() => (${body.toString()})(...values)).then(
        (value) => done({ value: value === undefined ? null : value }),
        (error) => done({ error: String(error) }),
      );`;
    const answer = (await this.#session.send('execute', { script, args: values })) as {
      value: Awaited<Result>;
      error?: string;
    };
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer.value;
  }

  /** Asks the page again until `isDone` accepts its answer. */
  async poll<Result>(
    what: string,
    ask: () => Promise<Result>,
    isDone: (answer: Result) => boolean,
  ): Promise<Result> {
    const end = Date.now() + timeoutMs;
    for (;;) {
      const answer = await ask();
      if (isDone(answer)) return answer;
      if (Date.now() > end)
        throw new Error(`${what}: still ${JSON.stringify(answer)} after ${timeoutMs} ms`);
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
  }

  /** Text of each element that matches. */
  texts(selector: string): Promise<string[]> {
    return this.evaluate(
      (selector: string) =>
        Array.from(document.querySelectorAll(selector), ({ textContent }) => textContent.trim()),
      selector,
    );
  }

  /** The value of an attribute of each element that matches. */
  attributes(selector: string, name: string): Promise<(string | null)[]> {
    return this.evaluate(
      (selector: string, name: string) =>
        Array.from(document.querySelectorAll(selector), (element) => element.getAttribute(name)),
      selector,
      name,
    );
  }

  async waitFor(selector: string): Promise<void> {
    await this.poll(
      selector,
      () => this.texts(selector),
      (found) => found.length > 0,
    );
  }

  async waitForText(selector: string, pattern: RegExp): Promise<string> {
    const texts = await this.poll(
      `${selector} with ${pattern.source}`,
      () => this.texts(selector),
      (texts) => texts.some((text) => pattern.test(text)),
    );
    return texts.find((text) => pattern.test(text)) ?? '';
  }

  /** Scrolls the element into the middle and gives its place. */
  async box(selector: string): Promise<Box> {
    await this.waitFor(selector);
    return this.evaluate((selector: string) => {
      const element = document.querySelector(selector);
      element?.scrollIntoView({ block: 'center', behavior: 'instant' });
      const { x = 0, y = 0, width = 0, height = 0 } = element?.getBoundingClientRect() ?? {};
      return { x, y, width, height };
    }, selector);
  }

  /** Presses the element with the mouse, as a reader does. */
  async click(selector: string): Promise<void> {
    const { x, y } = await this.#middle(selector);
    await this.#point(x, y, true);
  }

  /** Waits until the page has stopped moving and nothing lies over the element's middle. */
  async #middle(selector: string): Promise<{ x: number; y: number }> {
    let before = '';
    return this.poll(
      `${selector} in reach`,
      async () => {
        const { x, y, width, height } = await this.box(selector);
        const middle = { x: Math.round(x + width / 2), y: Math.round(y + height / 2) };
        const isOnTop = await this.evaluate(
          (selector: string, x: number, y: number) => {
            const element = document.querySelector(selector);
            return element?.contains(document.elementFromPoint(x, y)) === true;
          },
          selector,
          middle.x,
          middle.y,
        );
        const now = JSON.stringify(middle);
        const isStill = now === before;
        before = now;
        return { ...middle, isReady: isOnTop && isStill };
      },
      ({ isReady }) => isReady,
    );
  }

  /** Takes the mouse to the edge of the window, where it shows nothing. */
  async pointAway(): Promise<void> {
    await this.#point(2, 2, false);
  }

  async #point(x: number, y: number, isPressed: boolean): Promise<void> {
    const press = [
      { type: 'pointerDown', button: 0 },
      { type: 'pointerUp', button: 0 },
    ];
    await this.#session.send('perform', {
      actions: [
        {
          type: 'pointer',
          id: 'mouse',
          parameters: { pointerType: 'mouse' },
          actions: [
            { type: 'pointerMove', duration: 0, x, y, origin: 'viewport' },
            ...(isPressed ? press : []),
          ],
        },
      ],
    });
  }

  /** Presses one key after the other where the focus is; names are those of KeyboardEvent.key. */
  async press(...keys: (keyof typeof keyCodes)[]): Promise<void> {
    await this.#session.send('perform', {
      actions: [
        {
          type: 'key',
          id: 'keyboard',
          actions: keys.flatMap((key) => [
            { type: 'keyDown', value: keyCodes[key] },
            { type: 'keyUp', value: keyCodes[key] },
          ]),
        },
      ],
    });
  }

  async focus(selector: string): Promise<void> {
    await this.box(selector);
    await this.evaluate((selector: string) => {
      document.querySelector<HTMLElement>(selector)?.focus();
    }, selector);
  }

  /** Chooses an option of a list, or puts a text in a box, with the events that a reader's hand makes. */
  async fill(selector: string, value: string): Promise<void> {
    await this.waitFor(selector);
    await this.evaluate(
      (selector: string, value: string) => {
        const field = document.querySelector<HTMLSelectElement | HTMLTextAreaElement>(selector);
        if (field === null) return;
        field.value = value;
        field.dispatchEvent(new Event('input', { bubbles: true }));
        field.dispatchEvent(new Event('change', { bubbles: true }));
      },
      selector,
      value,
    );
  }

  /** The window as a PNG file. */
  async screenshot(): Promise<Buffer> {
    return Buffer.from(
      (await this.#session.send('screenshot', { full: false })) as string,
      'base64',
    );
  }

  close(): Promise<void> {
    return this.#session.close();
  }
}

/** https://www.w3.org/TR/webdriver2/#keyboard-actions */
const keyCodes = {
  ArrowUp: '\uE013',
  ArrowRight: '\uE014',
  Enter: '\uE007',
  Escape: '\uE00C',
} as const;
