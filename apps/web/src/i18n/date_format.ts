// Points in time as text, in the page's language and the visitor's time zone. Numbers: number_format.ts.

/** A day and a time of it, to the minute; `ms` since 1970. A time that no calendar has is told as such by a dash. */
export function dayAndTime(ms: number, language: string): string {
  // Records come from storage, and Intl throws on what is beyond its calendar.
  if (Number.isNaN(new Date(ms).getTime())) return '–';
  return new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short' }).format(ms);
}
