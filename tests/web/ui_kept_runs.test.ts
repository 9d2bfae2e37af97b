// Kept runs: what a link carries of them, what it leaves out and says so, and what is refused of a stranger's list.
import { describe, expect, test } from 'vitest';
import {
  formatRuns,
  parseRuns,
  runsForLink,
  type KeptRun,
} from '../../apps/web/src/inference/kept_runs';
import { listed, parseListed } from '../../apps/web/src/inference/listed_edits';
import { KeptRuns } from '../../apps/web/src/session/kept_runs.svelte';
import { readHash } from '../../apps/web/src/url/hash_state';

const run = (changes: Partial<KeptRun> = {}): KeptRun => ({
  name: 'one',
  model: { name: 'demo', digest: 'sha256:0a', listed: null, address: null, files: null },
  ...{ variant: 'fp32', text: 'The dog', ids: null, typed: null, withoutFirst: false, edits: [] },
  ...changes,
});
const off = listed({ edit: 'scale', joint: 'attn_z', layer: 5, head: 2, factor: 0 });
const patch = listed(
  { edit: 'replace', joint: 'resid_post', layer: 2, position: 9, value: 0 },
  { text: 'The cat', at: 3, layer: 4 },
);

describe('in a link', () => {
  test('runs come back as they were, edits and all', () => {
    const runs = [run({ edits: [off, { ...patch, isOn: false }] }), run({ ids: [1, 2], typed: 1 })];
    const said = formatRuns(runsForLink(runs));
    const ignored: string[] = [];
    expect(parseRuns(said, (part) => ignored.push(part))).toEqual({ runs, leftOut: 0 });
    expect(ignored).toEqual([]);
    // Only the description: no number that a run gave.
    expect(said).not.toMatch(/logit|prob/);
  });

  test.each<[string, Partial<KeptRun>]>([
    [
      'pasted numbers',
      { edits: [listed({ edit: 'add', joint: 'resid_post', layer: 1, vector: [1, 2] })] },
    ],
    ['a long text', { text: 'a'.repeat(5001) }],
    ['many ids', { ids: Array.from({ length: 1025 }, () => 1) }],
    ['files of this device', { model: { ...run().model, files: 'local:1/x' } }],
  ])('a run with %s stays out whole, and is counted', (_, changes) => {
    const { runs, others, leftOut } = runsForLink([run(), run(changes), run({ name: 'last' })]);
    expect(runs.map(({ name }) => name)).toEqual(['one', 'last']);
    expect([others.length, leftOut]).toEqual([1, 1]);
    const read = readHash(`#runs=${encodeURIComponent(formatRuns({ runs, leftOut }))}`);
    expect(read.state.runs.leftOut).toBe(1);
  });

  test('no more stand in it than it has room for, however they are escaped', () => {
    const many = Array.from({ length: 30 }, (_, at) => run({ name: `${at}` }));
    expect(runsForLink(many).runs).toHaveLength(24);
    const chinese = Array.from({ length: 10 }, () => run({ text: '好'.repeat(900) }));
    const { runs, leftOut } = runsForLink(chinese);
    expect(encodeURIComponent(formatRuns({ runs, leftOut })).length).toBeLessThan(17_000);
    expect(runs.length + leftOut).toBe(10);
    expect(runs.length).toBeGreaterThan(0);
  });

  test.each([
    ['{', null],
    ['[]', null],
    ['{"runs":1}', null],
    ['{"runs":[],"out":-1}', null],
    ['{"runs":[{"n":"x"}]}', []],
    ['{"runs":[{"n":"x","m":"m","v":"v","p":"t","ids":["1"]}]}', []],
    ['{"runs":[{"n":"x","m":"m","v":"v","p":"t","typed":3}]}', []],
    ['{"runs":[{"n":"x","m":"m","v":"v","p":"t","u":{}}]}', []],
    ['{"runs":[{"n":"x","m":"m","v":"v","p":"t","e":{}}]}', []],
  ])('%s is no list of runs, or one without that run', (text, runs) => {
    const ignored: string[] = [];
    const read = parseRuns(text, (part) => ignored.push(part));
    expect(read?.runs ?? null).toEqual(runs);
    expect(ignored).toHaveLength(runs === null ? 0 : 1);
  });
});

describe('the list', () => {
  test('keeps, renames and removes; an empty name changes nothing', () => {
    const kept = new KeptRuns();
    const { id } = kept.keep(run());
    kept.keep(run({ name: 'two' }));
    kept.rename(id, '  first ');
    kept.rename(id, '   ');
    expect(kept.entries.map((entry) => entry.run.name)).toEqual(['first', 'two']);
    kept.remove(id);
    expect(kept.entries.map((entry) => entry.run.name)).toEqual(['two']);
    expect(kept.byId(id)).toBeNull();
  });

  test('the link of its own runs leaves those that no link carries where they are', () => {
    const kept = new KeptRuns();
    kept.keep(run());
    kept.keep(run({ name: 'long', text: 'a'.repeat(6000) }));
    const read = parseRuns(formatRuns(kept.forLink), () => undefined);
    if (read === null) throw new Error('unread');
    kept.take(read);
    expect(kept.entries).toHaveLength(2);
    kept.take({ runs: [run({ name: 'other' })], leftOut: 3 });
    expect(kept.entries.map((entry) => entry.run.name)).toEqual(['other']);
    expect(kept.leftOutOfLink).toBe(3);
  });
});

test.each([
  [{ text: 'a', at: -1, layer: 0 }],
  [{ text: 'a', at: 0.5, layer: 0 }],
  [{ text: 'a', at: 0 }],
  [{ text: '', at: 0, layer: 0 }],
  [{ text: 'a', at: 0, layer: 0, more: 1 }],
])('an edit from %j is ignored', (from) => {
  const edit = { edit: 'replace', joint: 'resid_post', layer: 1, position: 0, from };
  const ignored: string[] = [];
  expect(parseListed(JSON.stringify([edit]), (part) => ignored.push(part))).toEqual([]);
  expect(ignored).toHaveLength(1);
});

test('one token of a text is put in at the residual stream alone', () => {
  const from = { text: 'a', at: 0, layer: 3 };
  const of = (joint: string): unknown =>
    parseListed(JSON.stringify([{ edit: 'replace', joint, layer: 1, from }]), () => undefined);
  expect(of('resid_post')).toMatchObject([{ from }]);
  expect(of('attn_z')).toEqual([]);
});
