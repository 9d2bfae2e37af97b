// The languages of the page, and the one that a reader gets. A key that a language lacks is a type error.
import { en } from './en';
import type { Dictionary, Language } from './shape';
import { zh } from './zh';

export type { Dictionary, Language };

export const DICTIONARIES: Record<Language, Dictionary> = { en, zh };

/** The first of the reader's languages that we speak; English where there is none. */
export function languageFor(preferred: readonly string[]): Language {
  for (const tag of preferred) {
    const primary = tag.toLowerCase().split('-')[0];
    if (primary === 'zh' || primary === 'en') return primary;
  }
  return 'en';
}
