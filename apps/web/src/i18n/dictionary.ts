// Fetches the texts of a language, and chooses the reader's. A missing key of a language is a type error.
import { isLanguage, LANGUAGES, type Language } from './languages';
import type { Dictionary } from './shape';

export type { Dictionary };

const LOADERS: Record<Language, () => Promise<Dictionary>> = {
  en: async () => (await import('./en/index')).en,
  zh: async () => (await import('./zh/index')).zh,
};

/** Fetch a language's texts: few readers use more than one. Rejects where the host does not give them. */
export function loadDictionary(language: Language): Promise<Dictionary> {
  return LOADERS[language]();
}

/** Return the first of the reader's languages that the page has; English where it has none of them. */
export function languageFor(preferred: readonly string[]): Language {
  for (const tag of preferred) {
    const primary = tag.toLowerCase().split('-')[0] ?? '';
    if (isLanguage(primary)) return primary;
  }
  return LANGUAGES[0];
}
