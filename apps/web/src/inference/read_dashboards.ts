// Reads dashboards of units from the open bundle: the index of a layer, a file's footer, a group of its rows, each proven
// by its digest and kept with the model for the next visit. bundle/dashboards/ reads what is in them.
import { RangeSource, rangeFile, type FileRange } from '../bundle/dashboards/range_source';
import { BundleError } from '../bundle/bundle_error';
import { downloadFiles, fileOf } from '../bundle/download/download';
import { retryPolicy } from '../bundle/download/retry_policy';
import type { UnitRow } from '../bundle/dashboards/unit_rows';
import { noStore } from '../bundle/storage/chunk_store';
import { groupOf } from '../contract/dashboard_unit';
import type {
  DashboardFile,
  DashboardGroup,
  DashboardIndex,
  FileDescriptor,
  Manifest,
} from '../contract/generated';
import { besideIndex, readDashboardIndex } from '../contract/validate_dashboard_index';
import { findBundle } from './find_bundle';
import { digestsOf, type EarlyStart } from './load_model';
import type { OpenRequest } from './model_types';
import type { SweepProgress } from './patching_sweep';

/** Bytes of an index, and of a range. */
const mostBytes = 64 * 2 ** 20;

export interface UnitsRequest {
  readonly model: OpenRequest;
  readonly kind: string;
  readonly layer: number;
  /** The number of one unit; null for all of the layer. */
  readonly unit: number | null;
}

/** Rows of a layer, and how many bytes of files they came from. */
export interface ReadUnits {
  readonly rows: readonly UnitRow[];
  readonly bytes: number;
}

/** Read a unit's row, or all of its layer with a step of progress for each group. Rejects with a BundleError. */
export async function readUnits(
  request: UnitsRequest,
  baseUrl: string,
  early: EarlyStart,
  onProgress: SweepProgress,
  signal: AbortSignal,
): Promise<ReadUnits> {
  const { source, found } = findBundle(request.model, baseUrl, early);
  const { manifest, latest } = await found;
  const groups = manifest.dashboards?.groups ?? [];
  const group = groupOf(groups, request);
  const listed = manifest.files.find(({ path }) => path === group?.path);
  if (group === null || listed === undefined) throw absent(request);
  const modelCache = latest === null ? null : await early.modelCache;
  const context = { store: modelCache?.chunks ?? noStore, retryPolicy, signal };
  const fetched = async (from: typeof source, files: readonly FileDescriptor[]) => {
    for (const { path, bytes } of files) {
      if (bytes > mostBytes)
        throw new BundleError({ kind: 'too-large', path, bytes, limit: mostBytes });
    }
    if (latest !== null) modelCache?.remember(latest.url, latest.text, manifest, digestsOf(files));
    return (await downloadFiles(from, files, new Set(), context, () => undefined)).files;
  };
  const indexBytes = fileOf(await fetched(source, [listed]), listed.path);
  const index = indexOf(indexBytes, group, manifest);
  const wanted = wantedGroups(index, request.unit);
  if (wanted.length === 0) throw absent(request);
  // Fetched with the index: most visits look at one unit, and need no parser before.
  const { readRows } = await import('../bundle/dashboards/unit_rows');
  const bounds = { vocab: manifest.model.shape.vocab, groups: groups.map(({ units }) => units) };
  const rows: UnitRow[] = [];
  let bytes = listed.bytes;
  let footer = null as { file: DashboardFile; bytes: Uint8Array<ArrayBuffer> } | null;
  for (const [done, { file, at, first }] of wanted.entries()) {
    onProgress(done, wanted.length);
    const descriptor = manifest.files.find(({ path }) => path === besideIndex(group, file.path));
    const part = file.row_groups[at];
    if (descriptor === undefined || part === undefined) throw absent(request);
    const ranges: FileRange[] = footer?.file === file ? [part] : [file.footer, part];
    const ranged = new RangeSource(source, descriptor, ranges);
    const parts = await fetched(
      ranged,
      ranges.map((range) => rangeFile(descriptor, range)),
    );
    bytes += ranges.reduce((sum, range) => sum + range.bytes, 0);
    const read = (range: FileRange): Uint8Array<ArrayBuffer> =>
      fileOf(parts, rangeFile(descriptor, range).path);
    if (footer?.file !== file) footer = { file, bytes: read(file.footer) };
    rows.push(
      ...(await readRows(file, part, first, { footer: footer.bytes, rows: read(part) }, bounds)),
    );
  }
  const own = request.unit === null ? rows : rows.filter(({ unit }) => unit === request.unit);
  return { rows: own, bytes };
}

function indexOf(
  bytes: Uint8Array<ArrayBuffer>,
  group: DashboardGroup,
  manifest: Manifest,
): DashboardIndex {
  const index = readDashboardIndex(new TextDecoder().decode(bytes), group, manifest);
  if (typeof index !== 'string') return index;
  const expected = 'an index of dashboards';
  throw new BundleError({ kind: 'integrity', path: group.path, expected, got: index });
}

/** List the groups of rows that hold a unit, or all, with the number of the first unit of their file. */
function wantedGroups(
  { files }: DashboardIndex,
  unit: number | null,
): { file: DashboardFile; at: number; first: number }[] {
  let first = 0;
  const found: { file: DashboardFile; at: number; first: number }[] = [];
  for (const file of files) {
    let begin = first;
    for (const [at, { units }] of file.row_groups.entries()) {
      if (unit === null || (unit >= begin && unit < begin + units)) found.push({ file, at, first });
      begin += units;
    }
    first += file.units;
  }
  return found;
}

function absent({ kind, layer, unit }: UnitsRequest): BundleError {
  const path = `${kind} ${layer}`;
  return new BundleError({
    ...{ kind: 'integrity', path, expected: 'dashboards of this unit' },
    got: unit === null ? 'none' : `no unit ${unit}`,
  });
}
