// The languages of the page, and the choice of the reader's. A missing key of a language is a type error.
import { en } from './en';
import type { Dictionary, Language } from './shape';
import { zh } from './zh';

export type { Dictionary, Language };

export const DICTIONARIES: Record<Language, Dictionary> = { en, zh };

/** Return the first of the reader's languages that the page has; English where it has none of them. */
export function languageFor(preferred: readonly string[]): Language {
  for (const tag of preferred) {
    const primary = tag.toLowerCase().split('-')[0];
    if (primary === 'zh' || primary === 'en') return primary;
  }
  return 'en';
}
