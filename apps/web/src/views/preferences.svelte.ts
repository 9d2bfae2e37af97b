// Language and colours: the reader's choice, else the browser's setting. Stored in this browser only.
import type { Theme } from '../charts/colour_ramps';
import { DICTIONARIES, languageFor, type Dictionary } from '../i18n/dictionary';
import { isLanguage, languageAfter, type Language } from '../i18n/languages';
import { printing } from './printing.svelte';

const KEYS = { theme: 'oriel.theme', language: 'oriel.language' } as const;

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

  constructor() {
    const theme = read(KEYS.theme);
    if (theme === 'light' || theme === 'dark') this.#chosenTheme = theme;
    const language = read(KEYS.language);
    if (isLanguage(language)) this.#chosenLanguage = language;
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
    if (this.linkWins && this.linkLanguage !== null) return this.linkLanguage;
    return this.#chosenLanguage ?? this.linkLanguage ?? languageFor(navigator.languages);
  }

  get words(): Dictionary {
    return DICTIONARIES[this.language];
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
