// The lines below a picture's title that say where its numbers come from: model, digest, variant, text, edits.
import type { Dictionary } from '../../i18n/dictionary';
import type { ViewedModel } from '../../inference/model_types';
import { editWords } from '../../reproduce/edit_words';
import type { Answer } from '../../session/answer';

/** Width of a line, in characters of which a Chinese one counts as two. */
const WIDEST = 84;
const MOST_LINES = 3;

export function pictureCaption(
  { manifest: { model }, variant }: ViewedModel,
  { tokens, interventions }: Answer,
  words: Dictionary,
): string[] {
  const text = tokens.map(({ label }) => label).join('');
  const edits = interventions.map(editWords).join('; ');
  return [
    ...inLines(
      [model.name, variant.name, model.weights_digest.slice(0, 'sha256:'.length + 16)]
        .filter((part) => part !== '')
        .join(' · '),
    ),
    ...inLines(`${words.picture.text(tokens.length)}${words.colon}${text}`),
    ...(edits === '' ? [] : inLines(`${words.picture.edits}${words.colon}${edits}`)),
  ];
}

/** Break a text into a few lines; an ellipsis ends one that is longer. */
export function inLines(text: string): string[] {
  const lines: string[] = [];
  let line = '';
  let width = 0;
  for (const character of text) {
    const wide = /[\u1100-\uffdc\u{20000}-\u{3ffff}]/u.test(character) ? 2 : 1;
    if (width + wide > WIDEST) {
      if (lines.length === MOST_LINES - 1) return [...lines, `${line}…`];
      lines.push(line);
      line = '';
      width = 0;
    }
    line += character;
    width += wide;
  }
  return [...lines, line];
}
