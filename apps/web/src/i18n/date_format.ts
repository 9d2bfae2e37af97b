// Points in time as text, in the page's language and the visitor's time zone. Numbers: number_format.ts.

/** Format a date and time, to the minute; `ms` since 1970. An invalid time gives a dash. */
export function dayAndTime(ms: number, language: string): string {
  // Records come from storage, and Intl throws on times beyond its calendar.
  if (Number.isNaN(new Date(ms).getTime())) return '–';
  return new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short' }).format(ms);
}
