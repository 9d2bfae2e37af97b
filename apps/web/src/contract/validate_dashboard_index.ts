// Checks an index of dashboards: its form, and that its ranges follow one another. The same rules in Python:
// oriel/contract/dashboards.py. validate_dashboards.ts checks what the manifest says of it.
import { validateDashboardIndex } from 'virtual:oriel/dashboards-validator';
import type { DashboardFile, DashboardGroup, DashboardIndex, Manifest } from './generated';
import { oneLine } from './one_line';
import { parseStrictJson } from './strict_json';

/** Bytes of a Parquet file before its first group of rows. */
const FIRST_BYTE = 4;

/** Return the index of a group of the manifest's dashboards, or what is wrong with it. */
export function readDashboardIndex(
  text: string,
  group: DashboardGroup,
  { model, files }: Pick<Manifest, 'model' | 'files'>,
): DashboardIndex | string {
  const verdict = parseStrictJson(text);
  if (verdict.kind !== 'json') return 'no JSON';
  const json = verdict.value;
  if (!isIndex(json)) {
    const [first] = validateDashboardIndex.errors ?? [];
    return oneLine(first ? `${first.instancePath || '/'} ${first.message ?? ''}` : 'not valid');
  }
  if (!json.dashboards_version.startsWith('1.'))
    return `version ${oneLine(json.dashboards_version)}`;
  const { weights, kind, layer, units } = json;
  const isOf = weights === model.weights_digest && kind === group.kind;
  if (!isOf || layer !== group.layer || units !== group.units) return 'of other units';
  if (json.files.reduce((sum, file) => sum + file.units, 0) !== units) return 'units are missing';
  const paths = json.files.map(({ path }) => path);
  if (new Set(paths).size !== paths.length) return 'a file twice';
  for (const file of json.files) {
    const listed = files.find(({ path }) => path === besideIndex(group, file.path));
    if (listed?.digest !== file.digest || listed.bytes !== file.bytes)
      return `${file.path} isn’t listed`;
    const trouble = rangeTrouble(file);
    if (trouble !== null) return `${file.path}: ${trouble}`;
  }
  return json;
}

/** Return a path of an index as the manifest has it. */
export function besideIndex({ path }: DashboardGroup, name: string): string {
  return path.slice(0, path.lastIndexOf('/') + 1) + name;
}

function rangeTrouble({ row_groups: groups, footer, units, bytes }: DashboardFile): string | null {
  if (groups.reduce((sum, group) => sum + group.units, 0) !== units) return 'units are missing';
  let end = FIRST_BYTE;
  for (const part of [...groups, footer]) {
    if (part.begin !== end) return `a range begins at ${part.begin} instead of ${end}`;
    end += part.bytes;
  }
  return end === bytes ? null : `its ranges end at ${end} of ${bytes} bytes`;
}

function isIndex(json: unknown): json is DashboardIndex {
  return validateDashboardIndex(json);
}
