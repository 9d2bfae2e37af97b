// The glossary, read from terms.json: each term by its id, and where its forms stand in a text.
import type { ActivationKind } from '../../contract/generated';
import type { Language } from '../../i18n/languages';
import data from './terms.json' with { type: 'json' };

interface TermTexts {
  readonly name: string;
  /** The spellings of the page's texts. */
  readonly forms: readonly string[];
  /** One sentence. */
  readonly text: string;
}

export interface GlossaryTerm extends Readonly<Record<Language, TermTexts>> {
  readonly id: string;
  /** Kinds of activation that it is a name for. */
  readonly contract: readonly ActivationKind[];
  /** Ids of the views that use it. */
  readonly views: readonly string[];
  readonly formula: string | null;
}

export const TERMS = data.terms as readonly GlossaryTerm[];

const byId = new Map(TERMS.map((term) => [term.id, term]));

/** Return a term; null for an id that a lesson made up. */
export function termOf(id: string): GlossaryTerm | null {
  return byId.get(id) ?? null;
}

/** A piece of a text, and the term that it names, if it names one. */
export interface Piece {
  readonly text: string;
  readonly term: GlossaryTerm | null;
}

const patterns = new Map<Language, RegExp>();

/** Return a pattern of all forms of a language, the longest first. */
function patternOf(language: Language): RegExp {
  const known = patterns.get(language);
  if (known !== undefined) return known;
  const forms = [...new Set(TERMS.flatMap((term) => term[language].forms))]
    .sort((a, b) => b.length - a.length)
    .map((form) => form.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  // Chinese has no spaces between words; Latin letters beside a Latin form would be another word.
  const made = new RegExp(`(?<![A-Za-z-])(?:${forms.join('|')})(?![A-Za-z-])`, 'gi');
  patterns.set(language, made);
  return made;
}

/** Cut a text at its terms: each only where it stands first, and none of those in `known`. */
export function piecesOf(
  text: string,
  language: Language,
  known: ReadonlySet<string> = new Set(),
): Piece[] {
  const pieces: Piece[] = [];
  const seen = new Set(known);
  let from = 0;
  for (const found of text.matchAll(patternOf(language))) {
    const [form] = found;
    const term = TERMS.find((each) =>
      each[language].forms.some((own) => own.toLowerCase() === form.toLowerCase()),
    );
    if (term === undefined || seen.has(term.id)) continue;
    seen.add(term.id);
    if (found.index > from) pieces.push({ text: text.slice(from, found.index), term: null });
    pieces.push({ text: form, term });
    from = found.index + form.length;
  }
  if (from < text.length) pieces.push({ text: text.slice(from), term: null });
  return pieces;
}
