// The languages of the page, the first of them for readers of none of these.
export const LANGUAGES = ['en', 'zh'] as const;
export type Language = (typeof LANGUAGES)[number];

export function isLanguage(code: string | null): code is Language {
  return (LANGUAGES as readonly (string | null)[]).includes(code);
}

/** Return the language after this one, the first after the last. */
export function languageAfter(language: Language): Language {
  return LANGUAGES[(LANGUAGES.indexOf(language) + 1) % LANGUAGES.length] ?? LANGUAGES[0];
}
