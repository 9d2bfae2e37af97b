// The languages of the page, the first of them for readers of none of these.
export const LANGUAGES = ['en', 'zh'] as const;
export type Language = (typeof LANGUAGES)[number];

/** The languages as BCP 47 tags, for the `lang` attribute and for dates. */
export const LANGUAGE_TAGS: Record<Language, string> = { en: 'en', zh: 'zh-CN' };

export function isLanguage(code: string | null): code is Language {
  return (LANGUAGES as readonly (string | null)[]).includes(code);
}

/** Return the language after this one, the first after the last. */
export function languageAfter(language: Language): Language {
  return LANGUAGES[(LANGUAGES.indexOf(language) + 1) % LANGUAGES.length] ?? LANGUAGES[0];
}
