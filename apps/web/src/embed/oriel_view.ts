// The custom element <oriel-view>: a frame with Oriel's page for any other page. One small script without a framework,
// which the built site has as oriel-view.js; docs/embedding.md documents it.
import { messageFromFrame, type ToFrame } from './embed_messages';

/** Attributes that are a field of the page's state, with the field's key in a link. */
const FIELDS = {
  variant: 'v',
  prompt: 'p',
  view: 'only',
  head: 'h',
  token: 't',
  lang: 'lang',
  theme: 'theme',
} as const;
type Field = keyof typeof FIELDS;
const OTHERS = ['src', 'model', 'state', 'height', 'title'] as const;

/** Height of the frame until the page has said its own, in CSS pixels. */
const FIRST_HEIGHT = 420;
/** The site that this script came from. */
const ownSite =
  document.currentScript instanceof HTMLScriptElement
    ? new URL('.', document.currentScript.src).href
    : document.baseURI;

function isField(name: string): name is Field {
  return Object.hasOwn(FIELDS, name);
}

class OrielView extends HTMLElement {
  static readonly observedAttributes = [...Object.keys(FIELDS), ...OTHERS];

  readonly #frame = document.createElement('iframe');
  #state: string | null = null;
  #link: string | null = null;
  /** True once the page has answered, so that it can be told of changes. */
  #isReady = false;
  /** Fields that the page is not told of yet. */
  readonly #changes = new Map<string, string | null>();

  constructor() {
    super();
    const style = document.createElement('style');
    style.textContent =
      ':host { display: block } iframe { display: block; width: 100%; border: 0; color-scheme: normal }';
    // If the page around is cross-origin isolated, this one may be too, and then computes with several threads.
    this.#frame.allow = 'cross-origin-isolated; clipboard-write; fullscreen';
    this.#frame.addEventListener('load', () => {
      // The empty frame loads too, before it has an address.
      if (this.#frame.src !== '') this.#say({ oriel: 'hello' });
    });
    this.attachShadow({ mode: 'open' }).append(style, this.#frame);
  }

  /** The state of the page as a link's part after # has it; null until the page is ready. */
  get state(): string | null {
    return this.#state;
  }

  set state(state: string | null) {
    if (state === null) this.removeAttribute('state');
    else this.setAttribute('state', state);
  }

  /** The address that opens the page in its state, by itself; null until it is ready. */
  get link(): string | null {
    return this.#link;
  }

  /** Load the page anew with the state of the attributes. */
  reload(): void {
    this.#isReady = false;
    this.#state = null;
    this.#link = null;
    const address = this.#site();
    const model = this.getAttribute('model');
    if (model !== null && isAddress(model)) address.searchParams.set('model', model);
    address.hash = this.#fromAttributes().toString();
    this.#frame.src = address.href;
    this.#resize(FIRST_HEIGHT);
  }

  connectedCallback(): void {
    addEventListener('message', this.#hear);
    this.#name();
    this.reload();
  }

  disconnectedCallback(): void {
    removeEventListener('message', this.#hear);
    this.#isReady = false;
  }

  attributeChangedCallback(name: string, before: string | null, now: string | null): void {
    if (!this.isConnected || before === now) return;
    if (name === 'title') this.#name();
    else if (name === 'height') this.#resize(FIRST_HEIGHT);
    else if (!this.#isReady || name === 'src') this.reload();
    else if (name === 'model') {
      if ([before, now].some((model) => model !== null && isAddress(model))) this.reload();
      else this.#set('model', now);
    } else if (name === 'state') {
      this.#say({ oriel: 'follow', state: this.#fromAttributes().toString() });
    } else if (isField(name)) this.#set(FIELDS[name], now);
  }

  /** Ask the page to change a field of its state: what its reader did meanwhile stays. Attributes that are set one after
   * another are told at once. */
  #set(key: string, value: string | null): void {
    if (this.#changes.size === 0)
      queueMicrotask(() => {
        const fields = Object.fromEntries(this.#changes);
        this.#changes.clear();
        this.#say({ oriel: 'set', fields });
      });
    this.#changes.set(key, value);
  }

  #fromAttributes(): URLSearchParams {
    const state = new URLSearchParams((this.getAttribute('state') ?? '').replace(/^#/, ''));
    const model = this.getAttribute('model');
    if (model !== null && !isAddress(model)) state.set('model', model);
    for (const [name, key] of Object.entries(FIELDS)) {
      const value = this.getAttribute(name);
      if (value !== null) state.set(key, value);
    }
    return framed(state);
  }

  #site(): URL {
    return new URL(this.getAttribute('src') ?? ownSite, document.baseURI);
  }

  #say(message: ToFrame): void {
    this.#frame.contentWindow?.postMessage(message, this.#site().origin);
  }

  readonly #hear = ({ source, origin, data }: MessageEvent): void => {
    if (source !== this.#frame.contentWindow || origin !== this.#site().origin) return;
    const message = messageFromFrame(data);
    if (message === null) return;
    if (message.oriel === 'size') this.#resize(message.height);
    else if (message.oriel === 'error') {
      const { kind, message: text } = message;
      this.dispatchEvent(new CustomEvent('error', { detail: { kind, message: text } }));
    } else {
      const { oriel, state, link } = message;
      this.#isReady = true;
      this.#state = state;
      this.#link = link;
      this.dispatchEvent(new CustomEvent(oriel, { detail: { state, link } }));
    }
  };

  /** An attribute `height` holds the frame to one height; then the page in it scrolls. */
  #resize(height: number): void {
    const own = Number(this.getAttribute('height'));
    this.#frame.style.height = `${own > 0 ? own : Math.ceil(height)}px`;
  }

  #name(): void {
    this.#frame.title = this.getAttribute('title') ?? 'Oriel';
  }
}

/** Mark a state as that of a page inside another one. */
function framed(state: URLSearchParams): URLSearchParams {
  state.set('embed', '1');
  return state;
}

/** A model is a name of the site's list, or an address. */
function isAddress(model: string): boolean {
  return /^(https?:|\.{0,2}\/)/.test(model);
}

for (const name of [...Object.keys(FIELDS), 'src', 'model', 'height']) {
  // The language and the title of an element are its properties already.
  if (name in HTMLElement.prototype) continue;
  Object.defineProperty(OrielView.prototype, name, {
    get(this: OrielView) {
      return this.getAttribute(name);
    },
    set(this: OrielView, value: string | number | null | undefined) {
      if (value === null || value === undefined) this.removeAttribute(name);
      else this.setAttribute(name, String(value));
    },
    enumerable: true,
    configurable: true,
  });
}

customElements.define('oriel-view', OrielView);
