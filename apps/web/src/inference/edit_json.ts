// Reads edits in the wire form of contracts/edits.schema.json, the same as Python's. Throws an EditError with the field at
// fault, for documents that may come from anyone.
import type { Edit as EditRecord } from '../contract/generated';
import { oneLine } from '../contract/one_line';
import { EditError, numbersOf, type Edit } from './edits';

const major = '1';
const largest = 2 ** 31 - 1;

/** Return whether a value of unknown form is of a field's type. */
type Check = (value: unknown) => boolean;

const isText: Check = (value) => typeof value === 'string' && value !== '';
const isNumber: Check = (value) => typeof value === 'number' && Number.isFinite(value);
const isThreshold: Check = (value) => isNumber(value) && Number(value) >= 0;
const isIndex: Check = (value) => isWhole(value, 0);
const isSize: Check = (value) => isWhole(value, 1);
const isPosition: Check = (value) => isWhole(value, -largest - 1);
const isPlaces: Check = (value) => isIndex(value) || isListOf(value, isIndex);
const isPositions: Check = (value) =>
  isPosition(value) ||
  isListOf(value, isPosition) ||
  (isRecord(value) && holdsOnly(value, { start: isPosition, stop: isPosition }));
const isDirection: Check = (value) => isListOf(value, isNumber) && value.length > 0;
const isShape: Check = (value) => isListOf(value, isSize) && value.length > 0 && value.length <= 4;
const isNumbers: Check = (value) =>
  isNumber(value) ||
  isDirection(value) ||
  (isRecord(value) &&
    'shape' in value &&
    'values' in value &&
    holdsOnly(value, { shape: isShape, values: isDirection }));

type Fields = Readonly<Record<string, Check>>;

interface Form {
  readonly needed: readonly string[];
  readonly fields: Fields;
}

const somewhere: Fields = { layer: isIndex, head: isPlaces, row: isPlaces };
const atJoint: Fields = { ...somewhere, joint: isText, position: isPositions };
const atAnyJoint: Fields = { ...atJoint, neuron: isPlaces, key: isPositions };

function form(places: Fields, own: Fields, needed: readonly string[]): Form {
  const always = 'joint' in places ? ['joint', 'layer'] : ['layer'];
  return { needed: [...always, ...needed], fields: { ...places, ...own } };
}

const forms: Readonly<Record<EditRecord['edit'], Form>> = {
  scale: form(atAnyJoint, { factor: isNumber }, []),
  add: form(atAnyJoint, { vector: isNumbers, strength: isNumber }, ['vector']),
  replace: form(atAnyJoint, { value: isNumbers }, ['value']),
  'knock-out': form(somewhere, { query: isPositions, key: isPositions }, []),
  'project-out': form(atJoint, { direction: isDirection, amount: isNumber }, ['direction']),
  cap: form(atJoint, { direction: isDirection, limit: isNumber }, ['direction', 'limit']),
  swap: form(atJoint, { first: isDirection, second: isDirection, amount: isNumber }, [
    'first',
    'second',
  ]),
  clamp: form(
    { ...atJoint, head: isIndex },
    {
      ...{ encoder: isDirection, direction: isDirection },
      ...{ bias: isNumber, threshold: isThreshold, value: isNumber },
    },
    ['encoder', 'direction', 'value'],
  ),
};

/** Return the edits of a document. */
export function editsFromJson(document: unknown): Edit[] {
  if (!isRecord(document)) throw unread('edits', 'this is no list of edits', {});
  const { edits_version: version, edits } = document;
  if (typeof version !== 'string' || !/^\d+\.\d+$/.test(version))
    throw unread('edits_version', 'the list of edits has no version', {});
  if (!version.startsWith(`${major}.`))
    throw unread('edits_version', 'the list of edits is of another version', {
      got: version,
      expected: `${major}.x`,
    });
  if (!Array.isArray(edits)) throw unread('edits', 'the list of edits has none', {});
  return edits.map((record: unknown, at) => editFromJson(record, `edit ${at}`));
}

/** Return an edit. `what` is its name in an error. */
export function editFromJson(record: unknown, what = 'the edit'): Edit {
  const name = isRecord(record) ? record['edit'] : undefined;
  if (!isRecord(record) || typeof name !== 'string' || !Object.hasOwn(forms, name))
    throw unread('edit', `${what} is no edit that Oriel knows`, {
      got: typeof name === 'string' ? name : typeof record,
      expected: `one of ${Object.keys(forms).join(', ')}`,
    });
  const { needed, fields } = forms[name as EditRecord['edit']];
  const missing = needed.find((field) => !Object.hasOwn(record, field));
  if (missing !== undefined) throw unread(missing, `${what} (${name}) has no ${missing}`, {});
  for (const [field, value] of Object.entries(record)) {
    if (field === 'edit') continue;
    const check = Object.hasOwn(fields, field) ? fields[field] : undefined;
    if (check === undefined) throw unread(field, `${what} (${name}) takes no ${field}`, {});
    if (!check(value))
      throw unread(field, `${field} of ${what} (${name}) is not as the contract has it`, {
        got: JSON.stringify(value).slice(0, 80),
      });
  }
  // Every field was checked; which joints there are, the model says.
  const edit = record as unknown as Edit;
  numbersOf(edit);
  return edit;
}

function unread(field: string, what: string, more: { got?: string; expected?: string }): EditError {
  return new EditError(oneLine(field), oneLine(what), {
    ...more,
    ...(more.got !== undefined && { got: oneLine(more.got) }),
  });
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isListOf(value: unknown, check: Check): value is readonly unknown[] {
  return Array.isArray(value) && value.every(check);
}

function isWhole(value: unknown, least: number): boolean {
  return Number.isInteger(value) && Number(value) >= least && Number(value) <= largest;
}

function holdsOnly(value: Readonly<Record<string, unknown>>, fields: Fields): boolean {
  return Object.entries(value).every(
    ([name, each]) => Object.hasOwn(fields, name) && fields[name]?.(each) === true,
  );
}
