// Language and colours: the reader's choice, else the browser's setting. Stored in this browser only.
import type { Theme } from '../charts/colour_ramps';
import { languageFor, type Dictionary } from '../i18n/dictionary';
import { isLanguage, languageAfter, type Language } from '../i18n/languages';
import { printing } from './printing.svelte';

const KEYS = { theme: 'oriel.theme', language: 'oriel.language' } as const;

/** The texts of the languages that are here. */
export type Dictionaries = Readonly<Partial<Record<Language, Dictionary>>>;

/** Return the language to begin with, where a link may name one, and `linkWins` is as below. */
export function firstLanguage(linked: Language | null, linkWins: boolean): Language {
  return languageOf(readLanguage(), linked, linkWins);
}

export class Preferences {
  #chosenTheme = $state<Theme | null>(null);
  #systemDark = $state(false);
  #chosenLanguage = $state<Language | null>(null);
  /** The language of a link: overrides the browser's setting, not the reader's own choice, and is not stored. */
  linkLanguage = $state<Language | null>(null);
  /** The colours of a link: as its language. */
  linkTheme = $state<Theme | null>(null);

  /** True where a link's language and colours come before the reader's own choice, as inside another page. */
  linkWins = $state(false);

  /** A language that was asked for and whose texts did not come; null where all is well. */
  missing = $state<Language | null>(null);
  #here = $state.raw<Dictionaries>({});
  /** The texts that the page began with. */
  readonly #first: Dictionary;

  /**
   * Begin with the texts of one language, and those of others that are here, too.
   * `load` fetches what is not. Call it while a component starts.
   */
  constructor(
    first: Dictionary,
    load: (language: Language) => Promise<Dictionary>,
    others: Dictionaries = {},
  ) {
    this.#first = first;
    this.#here = { ...others, [first.code]: first };
    $effect(() => {
      const { language } = this;
      if (this.#here[language] === undefined) void this.#fetch(language, load);
    });
    const theme = read(KEYS.theme);
    if (theme === 'light' || theme === 'dark') this.#chosenTheme = theme;
    this.#chosenLanguage = readLanguage();
    const query = matchMedia('(prefers-color-scheme: dark)');
    this.#systemDark = query.matches;
    query.addEventListener('change', (event) => {
      this.#systemDark = event.matches;
    });
  }

  get theme(): Theme {
    // Paper is light.
    if (printing.now) return 'light';
    if (this.linkWins && this.linkTheme !== null) return this.linkTheme;
    return this.#chosenTheme ?? this.linkTheme ?? (this.#systemDark ? 'dark' : 'light');
  }

  get language(): Language {
    return languageOf(this.#chosenLanguage, this.linkLanguage, this.linkWins);
  }

  /** The texts of the language; those of the first one while they are fetched. */
  get words(): Dictionary {
    return this.#here[this.language] ?? this.#first;
  }

  async #fetch(
    language: Language,
    load: (language: Language) => Promise<Dictionary>,
  ): Promise<void> {
    try {
      this.#here = { ...this.#here, [language]: await load(language) };
      this.missing = null;
    } catch {
      this.missing = language;
      // The page stays in the language that it has, and the button asks for the other again.
      if (this.language !== language) return;
      this.#chosenLanguage = this.#first.code;
      this.linkLanguage = null;
    }
  }

  toggleTheme(): void {
    this.#chosenTheme = this.theme === 'dark' ? 'light' : 'dark';
    this.linkTheme = null;
    keep(KEYS.theme, this.#chosenTheme);
  }

  toggleLanguage(): void {
    this.#chosenLanguage = languageAfter(this.language);
    this.linkLanguage = null;
    keep(KEYS.language, this.#chosenLanguage);
  }
}

function languageOf(chosen: Language | null, linked: Language | null, linkWins: boolean): Language {
  const [first, second] = linkWins ? [linked, chosen] : [chosen, linked];
  return first ?? second ?? languageFor(navigator.languages);
}

function readLanguage(): Language | null {
  const language = read(KEYS.language);
  return isLanguage(language) ? language : null;
}

// Storage may be switched off; then a choice lasts as long as the page.
function read(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}
function keep(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    return;
  }
}
