// The texts of each language, and the choice of the reader's. A missing key of a language is a type error.
import { en } from './en/index';
import { isLanguage, LANGUAGES, type Language } from './languages';
import type { Dictionary } from './shape';
import { zh } from './zh/index';

export type { Dictionary };

export const DICTIONARIES: Record<Language, Dictionary> = { en, zh };

/** Return the first of the reader's languages that the page has; English where it has none of them. */
export function languageFor(preferred: readonly string[]): Language {
  for (const tag of preferred) {
    const primary = tag.toLowerCase().split('-')[0] ?? '';
    if (isLanguage(primary)) return primary;
  }
  return LANGUAGES[0];
}
