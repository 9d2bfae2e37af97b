// The name of the output that gives a dictionary's features, which is also the kind of these features as units.

const prefix = 'features_';

/** Return the name of the output that gives a dictionary's features, (batch, tokens, features). */
export function featuresName(dictionary: string): string {
  return `${prefix}${dictionary}`;
}

/** Return the name of the dictionary whose features are units of a kind; null for units of the model itself. */
export function dictionaryOfKind(kind: string): string | null {
  return kind.startsWith(prefix) ? kind.slice(prefix.length) : null;
}
