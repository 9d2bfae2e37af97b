// Says an edit of the list in words.
import type { ActivationKind } from '../../contract/generated';
import type { Dictionary } from '../../i18n/dictionary';
import { listed as eachOf } from '../../inference/check_edits';
import type { Edit, Numbers, Places, Positions } from '../../inference/edits';
import { isEdit } from '../../inference/interventions';
import { headOff, type FeatureNumbers, type ListedEdit } from '../../inference/listed_edits';

/** Longest stretch of a reader's text that a sentence quotes. */
const QUOTED = 60;

/** Return how a token is written. */
export type LabelOf = (id: number) => string;

const byId: LabelOf = (id) => `#${id}`;

export function editWords(entry: ListedEdit, words: Dictionary, labelOf: LabelOf = byId): string {
  const sentence = said(entry, words.interventions, labelOf);
  return sentence.charAt(0).toUpperCase() + sentence.slice(1);
}

/** Say an edit in few words, for the notice at the top. */
export function shortWords(entry: ListedEdit, words: Dictionary, labelOf: LabelOf = byId): string {
  const off = headOff(entry);
  if (off === null) return editWords(entry, words, labelOf);
  return `${words.layerShort(off[0])} ${words.headShort(off[1])}`;
}

type Texts = Dictionary['interventions'];

function said({ edit, from }: ListedEdit, words: Texts, labelOf: LabelOf): string {
  if (!isEdit(edit))
    return words.other(edit.closing, words.places.other(edit.joint, edit.layer), words.everywhere);
  if (edit.edit === 'knock-out') {
    const head = edit.head === undefined ? null : placesText(edit.head);
    const [query, key] = [edit.query, edit.key].map((given) =>
      words.queries(given === undefined ? null : positionsText(given, words)),
    );
    return words.blind(query ?? '', key ?? '', edit.layer, head);
  }
  const place = placeWords(edit, words);
  const where = positionWords(edit.position, words);
  if (edit.edit === 'scale') {
    const factor = edit.factor ?? 0;
    return factor === 0 ? words.off(place, where) : words.scaled(place, numberText(factor), where);
  }
  if (edit.edit === 'add') {
    const direction = directionWords(edit.vector, from, words, labelOf);
    return words.steered(place, numberText(edit.strength ?? 1), direction, where);
  }
  if (edit.edit === 'replace' && from !== null) {
    if ('mean' in from) return words.averaged(place, quotable(from.mean), where);
    if ('at' in from) return words.patchedFrom(place, quotable(from.text), from, where);
    if ('text' in from) return words.patched(place, quotable(from.text), where);
  }
  if (edit.edit === 'clamp') {
    const value = numberText(edit.value);
    if (from === null || !('feature' in from)) return words.clamped(place, value, where);
    return words.clampedFeature(featureWords(from, words), place, value, where);
  }
  return words.other(edit.edit, place, where);
}

function directionWords(
  vector: Numbers,
  from: ListedEdit['from'],
  words: Texts,
  labelOf: LabelOf,
): string {
  if (from !== null && 'difference' in from)
    return words.difference(quotable(from.difference[0]), quotable(from.difference[1]));
  if (from !== null && 'unembedding' in from) {
    const [towards, away] = from.unembedding;
    return words.unembedding(labelOf(towards), away === undefined ? null : labelOf(away));
  }
  if (from !== null && 'feature' in from) return featureWords(from, words);
  return words.pasted(countOf(vector));
}

function featureWords({ feature: { dictionary, feature } }: FeatureNumbers, words: Texts): string {
  return words.feature(feature, dictionary);
}

function placeWords(edit: Exclude<Edit, { edit: 'knock-out' }>, { places }: Texts): string {
  const { joint, layer, head } = edit;
  const neuron = 'neuron' in edit ? edit.neuron : undefined;
  if (joint === 'attn_z' && head !== undefined)
    return places.heads(placesText(head), layer, eachOf(head).length > 1);
  if (joint === 'mlp_act' && neuron !== undefined)
    return places.neurons(placesText(neuron), layer, eachOf(neuron).length > 1);
  const isPart = head === undefined && neuron === undefined;
  if (isPart && isNamed(joint)) return places[joint](layer);
  const parts = [head, neuron].map((given) => (given === undefined ? '' : ` ${placesText(given)}`));
  return places.other(`${joint}${parts.join('')}`, layer);
}

const named = [
  ...(['resid_pre', 'resid_mid', 'resid_post', 'attn_z', 'attn_output'] as const),
  ...(['mlp_act', 'mlp_output'] as const),
];

function isNamed(joint: ActivationKind): joint is (typeof named)[number] {
  return named.some((each) => each === joint);
}

function positionWords(position: Positions | undefined, words: Texts): string {
  if (position === undefined) return words.everywhere;
  if (typeof position === 'object' && !('length' in position)) {
    const { start = 0, stop } = position;
    if (stop === undefined) return words.from(start);
    if (start === 0) return words.until(stop - 1);
  }
  return words.at(positionsText(position, words), !isSingle(position));
}

function isSingle(position: Positions): boolean {
  return typeof position === 'number' || ('length' in position && position.length === 1);
}

function positionsText(position: Positions, words: Texts): string {
  if (typeof position === 'number' || 'length' in position) return placesText(position);
  const { start = 0, stop } = position;
  return stop === undefined ? `${start}–` : words.span(start, stop - 1);
}

function placesText(given: Places): string {
  return eachOf(given).join(', ').replaceAll('-', '−');
}

export function numberText(value: number): string {
  return String(Number(value.toPrecision(6))).replace('-', '−');
}

function quotable(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length > QUOTED ? `${line.slice(0, QUOTED)}…` : line;
}

function countOf(numbers: Numbers): number {
  if (typeof numbers === 'number') return 1;
  return 'shape' in numbers ? numbers.values.length : numbers.length;
}
