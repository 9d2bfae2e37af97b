// A page that opens from disk: the template, which is built beside the site, with one analysis inside.
import { RECORD_ELEMENT, type AnalysisRecord } from './record';

/** The record's place in the template. */
const PLACE = `<script type="application/json" id="${RECORD_ELEMENT}"></script>`;

/**
 * Return the record as JSON that nothing in it can end: without `<`, so that no tag and no comment can begin, and
 * without the two characters that end a line in scripts of old.
 */
export function recordText(record: AnalysisRecord): string {
  return JSON.stringify(record).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Return the template with the record inside. Throws a RangeError for a file that isn't the template. */
export function filledPage(template: string, record: AnalysisRecord): string {
  const [before, after, ...more] = template.split(PLACE);
  if (before === undefined || after === undefined || more.length > 0)
    throw new RangeError('a file that has no one place for an analysis');
  const open = PLACE.replace('</script>', '');
  return `${before}${open}${recordText(record)}</script>${after}`;
}
