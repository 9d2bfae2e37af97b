// One field of a link: its key, how it is read and written, and its default.
import type { Ignore } from './activation_ranges';

export interface Field<Value> {
  readonly key: string;
  /** The value of a link that lacks the field. */
  readonly byDefault: Value;
  /** Return the value, or null where nothing of the text can be read. Never throws. */
  readonly parse: (text: string, ignore: Ignore) => Value | null;
  readonly format: (value: NonNullable<Value>) => string;
}
