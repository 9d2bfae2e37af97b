// Checks of a manifest's dashboards that a JSON schema cannot express: they are of the model and of its dictionaries, and
// each index is listed.
// The same rules in Python: oriel/contract/dashboards.py.
import { dictionaryOfKind } from './validate_dictionaries';
import type { DashboardGroup, Manifest } from './generated';

/** Return what is wrong with the dashboards of a manifest, or null. */
export function unsoundDashboards(manifest: Manifest): string | null {
  const { dashboards, model, files, variants } = manifest;
  if (dashboards === undefined) return null;
  if (dashboards.weights !== model.weights_digest) {
    return `dashboards of another model, ${dashboards.weights.slice(0, 23)}`;
  }
  if (!variants.some(({ name }) => name === dashboards.variant)) {
    return `dashboards of ${dashboards.variant}, a variant that isn't there`;
  }
  const listed = new Set(files.map(({ path }) => path));
  const places = new Set(dashboards.groups.map(({ kind, layer }) => `${kind} ${layer}`));
  if (places.size !== dashboards.groups.length) return 'two dashboards of one kind in one layer';
  for (const group of dashboards.groups) {
    const { path, layer, kind } = group;
    if (!listed.has(path)) return `${path} is used but not listed in files`;
    if (layer >= model.shape.layers) return `dashboards of layer ${layer}, which isn't there`;
    if (!fitsDictionaries(group, manifest))
      return `dashboards of ${kind} in layer ${layer}, which are of none of the dictionaries`;
  }
  return null;
}

/**
 * Return whether a group of features belongs to a dictionary of the model: its name, the layer that it reads, its features
 * and its file. True for other units, which name no dictionary.
 */
function fitsDictionaries(
  { kind, layer, units, dictionary }: DashboardGroup,
  { dictionaries = [], files }: Manifest,
): boolean {
  const name = dictionaryOfKind(kind);
  if (name === null) return dictionary === undefined;
  const found = dictionaries.find((each) => each.name === name);
  if (found === undefined) return false;
  const { reads, features } = found.description;
  const file = files.find(({ path }) => path === found.path);
  return (
    reads.layer === layer && features === units && file !== undefined && file.digest === dictionary
  );
}
