// Finds what a link says in the right form, but of another model or text than those that it opened.
import { activationSpec, contractVersion, layerShape } from '../contract/activation_table';
import { hasUnit } from '../contract/dashboard_unit';
import type { DashboardGroup, DictionaryRecord, ModelShape } from '../contract/generated';
import { dictionaryWith } from '../inference/dictionary_names';
import { fits } from '../inference/listed_edits';
import { FIELDS, type FieldName, type HashState, type LinkedHead } from './fields';
import type { Ignored } from './hash_state';
import type { LinkedAttribution } from './question_fields';

/** The model and the text that the link opened. */
export interface Opened {
  readonly shape: ModelShape;
  /** Names of the model's variants. */
  readonly variants: readonly string[];
  /** Names of its lenses. */
  readonly lenses: readonly string[];
  readonly tokens: number;
  /** The groups of units that have dashboards. */
  readonly units: readonly DashboardGroup[];
  readonly dictionaries: readonly DictionaryRecord[];
  /** Ids of the page's views. */
  readonly views: readonly string[];
}

export function misfits(
  state: HashState,
  { shape, variants, lenses, tokens, units, dictionaries, views }: Opened,
): Ignored[] {
  const found: Ignored[] = [];
  const add = (name: FieldName, text: string): void => {
    found.push({ name, key: FIELDS[name].key, text });
  };
  const isHead = ([layer, head]: LinkedHead): boolean => layer < shape.layers && head < shape.heads;
  const { compared, other, runs, token, head, headsOff, shown, lens, folded, alone } = state;
  const { attributed, lensShown, neuron, feature, unit } = state;
  if (compared !== null && !variants.includes(compared)) add('compared', compared);
  if (other?.kind === 'run' && other.index >= runs.runs.length)
    add('other', FIELDS.other.format(other));
  if (token !== null && token >= tokens) add('token', String(token));
  if (head !== null && !isHead(head)) add('head', FIELDS.head.format(head));
  const lacking = headsOff.filter((off) => !isHead(off));
  if (lacking.length > 0) add('headsOff', FIELDS.headsOff.format(lacking));
  const unfit = state.edits.filter((edit) => !fits(edit, shape));
  if (unfit.length > 0) add('edits', FIELDS.edits.format(unfit));
  if (shown !== null && activationSpec(shown, shape, contractVersion) === null) add('shown', shown);
  if (typeof lensShown.token === 'number' && lensShown.token >= shape.vocab)
    add('lensShown', FIELDS.lensShown.format(lensShown));
  const isNeuron = ([layer, at]: LinkedHead): boolean =>
    layer < shape.layers && at < layerShape(shape, layer).intermediate;
  if (neuron !== null && !isNeuron(neuron)) add('neuron', FIELDS.neuron.format(neuron));
  if (feature !== null && dictionaryWith(dictionaries, feature) === null)
    add('feature', FIELDS.feature.format(feature));
  if (unit !== null && !hasUnit(units, unit)) add('unit', FIELDS.unit.format(unit));
  const unknown = folded.filter((id) => !views.includes(id));
  if (unknown.length > 0) add('folded', FIELDS.folded.format(unknown));
  if (alone !== null && !views.includes(alone)) add('alone', alone);
  if (lens !== null && !lenses.includes(lens)) add('lens', lens);
  if (attributed !== null && !isOfModel(attributed, shape, tokens))
    add('attributed', FIELDS.attributed.format(attributed));
  return found;
}

function isOfModel(
  { answer, other, neuronsOf, key }: LinkedAttribution,
  { vocab, layers }: ModelShape,
  tokens: number,
): boolean {
  const isToken = (id: number | string | null): boolean => typeof id !== 'number' || id < vocab;
  return isToken(answer) && isToken(other) && (neuronsOf ?? 0) < layers && (key ?? 0) < tokens;
}
