// Checks of a manifest's dashboards that a JSON schema cannot express: they are of the model, and each index is listed.
// The same rules in Python: oriel/contract/dashboards.py.
import type { Manifest } from './generated';

/** Return what is wrong with the dashboards of a manifest, or null. */
export function unsoundDashboards({ dashboards, model, files, variants }: Manifest): string | null {
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
  for (const { path, layer } of dashboards.groups) {
    if (!listed.has(path)) return `${path} is used but not listed in files`;
    if (layer >= model.shape.layers) return `dashboards of layer ${layer}, which isn't there`;
  }
  return null;
}
