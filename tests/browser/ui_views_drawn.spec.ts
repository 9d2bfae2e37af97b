// Every picture of every view is what PyTorch says, and follows every change: maps, curves, strips, lengths, lens, bars,
// scales, differences, dots. A picture that keeps what it showed before fails here, whatever its title says.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect as plainExpect, type Page } from '@playwright/test';
import { sessionGraph } from '../../apps/web/src/contract/variant_graphs';
import { softmax } from '../../apps/web/src/analysis/probabilities';
import { magnitudeBelow } from '../../apps/web/src/analysis/vectors';
import { strokeOf } from '../../apps/web/src/charts/arc_paths';
import { rampFor, type Theme, type ValueScale } from '../../apps/web/src/charts/colour_ramps';
import type { Manifest } from '../../apps/web/src/contract/generated';
import {
  answered,
  largeMap,
  limitOf,
  probabilities,
  rootChosen,
  saved,
  signedTo,
  smallMap,
  vectors,
  weights,
} from './drawn_claims';
import { readFixtures, reference, type Prompt } from './fixtures';
import {
  difference,
  drawingOf,
  expectBackgrounds,
  expectDrawn,
  expectFilled,
  savedDifference,
  type Claim,
} from './pixels';
import { test } from './shared_context';

const expect = plainExpect.configure({ timeout: 30_000 });
const demo = readFixtures('demo');
const sentence = demo.prompt('sentence');
const other = demo.prompt('unicode');

/** What the page is asked to show. */
interface State {
  prompt: Prompt;
  head: readonly [layer: number, head: number];
  /** The token that looks. */
  token: number;
  /** Contract name of the strip's activation. */
  strip: string;
  theme: Theme;
  /** `_heads_off` where the fixtures' heads are off. */
  off: '' | '_heads_off';
}

/** Equal to this many digits after the point. */
const near = (value: number, digits: number): unknown => expect.closeTo(value, digits);
const norm = (vector: readonly number[]): number => Math.hypot(...vector);

async function mapsShow(page: Page, { prompt, head, theme, off }: State): Promise<void> {
  const claim = probabilities(prompt, ...head, off);
  const scale = weights(await rootChosen(page));
  await page.getByTestId('attention').scrollIntoViewIfNeeded();
  await expectDrawn(largeMap(page), claim, scale, theme, 'the large map');
  await expectDrawn(smallMap(page, ...head), claim, scale, theme, 'the small map');
}

async function rowShows(page: Page, { prompt, head, token, off }: State): Promise<void> {
  const row = (probabilities(prompt, ...head, off)[token] ?? []).map((weight) => weight ?? 0);
  await expectFilled(
    page.getByTestId('row-sources').locator('.bar > span'),
    row.slice(0, token + 1).toSorted((a, b) => b - a).slice(0, 6), // prettier-ignore
    'the bars of what a token looks at',
  );
}

async function curvesShow(page: Page, { prompt, head, token, theme, off }: State): Promise<void> {
  const claim = probabilities(prompt, ...head, off);
  const row = claim[token] ?? [];
  const arcs = page.getByTestId('arcs');
  await arcs.scrollIntoViewIfNeeded();
  const scale = weights(await rootChosen(page));
  await expectBackgrounds(arcs.locator('.token'), row, scale, theme, 'the text under the curves');
  const strong = row
    .flatMap((weight, position) => (weight !== null && weight >= 0.01 ? { weight, position } : []))
    .toSorted((a, b) => b.weight - a.weight)
    .slice(0, 24);
  const drawn = () =>
    arcs.evaluate(
      (element, ends) => {
        const middles = [...element.querySelectorAll<HTMLElement>('.token')].map(
          ({ offsetLeft, offsetWidth }) => offsetLeft + offsetWidth / 2,
        );
        const faint = element.querySelector('path.faint')?.getAttribute('d') ?? '';
        return {
          faint: faint.match(/M/g)?.length ?? 0,
          curves: [...element.querySelectorAll('path.strong')].map((path, at) => {
            const numbers = (path.getAttribute('d') ?? '').match(/-?[\d.]+/g)?.map(Number) ?? [];
            const away = [numbers[0], numbers.at(-2)].map((x, end) =>
              Math.abs((x ?? NaN) - (middles[ends[at]?.[end] ?? -1] ?? NaN)),
            );
            return { width: Number(path.getAttribute('stroke-width')), away: Math.max(...away) };
          }),
        };
      },
      strong.map(({ position }) => [token, position]),
    );
  const faint = claim.reduce(
    (count, weightsOf, query) =>
      count + weightsOf.filter((weight, key) => (weight ?? 0) >= 0.3 && key !== query).length,
    0,
  );
  await expect(async () => {
    const found = await drawn();
    expect(found.faint).toBe(faint);
    expect(found.curves.map(({ width }) => width)).toEqual(
      strong.map(({ weight }) => near(strokeOf(weight), 2)),
    );
    for (const [at, { away }] of found.curves.entries())
      // A token's curve to itself starts and ends beside its middle.
      expect(away).toBeLessThan(strong[at]?.position === token ? 8 : 1.5);
  }).toPass({ timeout: 30_000 });
}

async function stripShows(page: Page, { prompt, strip, theme }: State): Promise<void> {
  const rows = vectors(prompt, strip);
  const canvas = page.getByTestId('strip').locator('canvas');
  await canvas.scrollIntoViewIfNeeded();
  const { limit } = magnitudeBelow(
    rows.map((row) => Float32Array.from(row)),
    0.995,
  );
  const scale = signedTo(limit, await rootChosen(page));
  await expectDrawn(canvas, rows, scale, theme, `the strip of ${strip}`);
  const lengths = rows.map(norm);
  const longest = Math.max(...lengths);
  await expect(async () => {
    const bars = await page
      .getByTestId('activations')
      .locator('svg.norms rect')
      .evaluateAll((all) => all.map((bar) => Number(bar.getAttribute('width'))));
    expect(bars).toEqual(lengths.map((length) => near((length / longest) * 40, 1)));
  }).toPass({ timeout: 30_000 });
}

async function lengthsShow(
  page: Page,
  { prompt, theme }: State,
  kind: string,
  layers: readonly number[],
): Promise<void> {
  const lengths = layers.map((layer) => vectors(prompt, `layer_${layer}_${kind}`).map(norm));
  const scale: ValueScale = {
    kind: 'magnitude',
    limit: Math.max(...lengths.flat()),
    root: await rootChosen(page),
  };
  const rows = page.getByTestId('activations').locator('tbody tr');
  for (const [at, layer] of layers.entries())
    await expectDrawn(
      rows.nth(layer).locator('.lengths canvas'),
      [lengths[at] ?? []],
      scale,
      theme,
      `the lengths of layer ${layer}`,
    );
}

async function lensShows(page: Page, { prompt, theme }: State): Promise<void> {
  const lens = page.getByTestId('lens');
  await lens.scrollIntoViewIfNeeded();
  const scale: ValueScale = { kind: 'probability', limit: 1, root: await rootChosen(page) };
  for (const layer of [0, 6, 11]) {
    const best = vectors(prompt, `layer_${layer}_lens_probs`).map((row) => row[0] ?? NaN);
    // Cells that are scrolled out of sight are not on the page.
    const cells = lens.locator(`[role=gridcell][data-cell^="${layer}."]`);
    await expect(cells.first()).toBeVisible();
    const shown = await cells.count();
    await expectBackgrounds(
      cells,
      best.slice(0, shown),
      scale,
      theme,
      `the lens of layer ${layer}`,
    );
    for (const position of [0, shown - 1]) {
      const said = (await cells.nth(position).getAttribute('aria-label')) ?? '';
      const share = Number(/([\d.]+)\s*%/.exec(said)?.[1]) / 100;
      expect(Math.abs(share - (best[position] ?? NaN))).toBeLessThan(1e-3);
    }
  }
}

function lastOf(prompt: Prompt, name: string): Float64Array {
  const vocab = reference(prompt, 'logits').dims.at(-1) ?? 0;
  return softmax(Array.from(reference(prompt, name).data.subarray(-vocab)));
}

async function predictionShows(page: Page, { prompt, off }: State): Promise<void> {
  const truth = lastOf(prompt, `logits${off}`);
  const rows = page.getByTestId('candidate');
  await rows.first().scrollIntoViewIfNeeded();
  const likeliest = [...truth.keys()].toSorted((a, b) => (truth[b] ?? 0) - (truth[a] ?? 0));
  const shown = likeliest.slice(0, 10);
  await expect(async () => {
    const ids = await rows.evaluateAll((all) => all.map((row) => row.getAttribute('data-id')));
    expect(ids.slice(0, 3)).toEqual(shown.slice(0, 3).map(String));
  }).toPass({ timeout: 30_000 });
  const ids = await rows.evaluateAll((all) =>
    all.map((row) => Number(row.getAttribute('data-id'))),
  );
  const share = (id: number): number => truth[id] ?? NaN;
  await expectFilled(
    rows.locator('td:nth-of-type(1) .fill'),
    ids.map(share),
    'the bars of what comes next',
  );
  if (off === '') return;
  const before = lastOf(prompt, 'logits');
  await expect(async () => {
    const marks = await rows
      .locator('.mark')
      .evaluateAll((all) => all.map((mark) => Number.parseFloat((mark as HTMLElement).style.left)));
    expect(marks).toEqual(ids.map((id) => near(100 * (before[id] ?? NaN), 1)));
  }).toPass({ timeout: 30_000 });
}

/** Each scale's colours are its ramp's ends, and its ticks the values that have those colours. */
async function scalesShow(page: Page, { theme }: State): Promise<void> {
  const root = await rootChosen(page);
  const legend = page.getByTestId('attention').locator('.legend');
  const { css } = rampFor('weight', theme);
  const spaced = (colour: string): string => colour.replaceAll(' ', ', ');
  await expect(async () => {
    const ramp = await legend
      .locator('.ramp')
      .evaluate((element) => getComputedStyle(element).backgroundImage);
    const stops = ramp.match(/rgb\([^)]*\)/g) ?? [];
    expect([stops[0], stops.at(-1)]).toEqual([css[0], css[255]].map((end = '') => spaced(end)));
    const ticks = (await legend.locator('.ticks span').allTextContents()).map(Number.parseFloat);
    expect(ticks).toEqual([0, 25, 50, 75, 100].map((tick) => near(root ? tick ** 2 / 100 : tick, 1))); // prettier-ignore
  }).toPass({ timeout: 30_000 });
}

async function everythingShows(page: Page, state: State): Promise<void> {
  await mapsShow(page, state);
  await rowShows(page, state);
  await scalesShow(page, state);
  await curvesShow(page, state);
  await predictionShows(page, state);
  await lensShows(page, state);
  await stripShows(page, state);
}

test('every picture follows every change', async ({ page }) => {
  test.setTimeout(600_000);
  await page.setViewportSize({ width: 1440, height: 1000 });
  await page.emulateMedia({ colorScheme: 'light' });
  const text = encodeURIComponent(sentence.text ?? '');
  await page.goto(`/#lang=en&on=wasm&v=fp32&p=${text}&h=0.1&a=layer_5_resid_post`);
  await answered(page, sentence.ids.length);
  const state: State = {
    prompt: sentence,
    head: [0, 1],
    token: sentence.ids.length - 1,
    strip: 'layer_5_resid_post',
    theme: 'light',
    off: '',
  };
  await test.step('at first', () => everythingShows(page, state));
  await lengthsShow(page, state, 'resid_post', [0, 5, 11]);
  await test.step('another head and layer', async () => {
    await page.getByTestId('head-11-2').click();
    state.head = [11, 2];
    await mapsShow(page, state);
    await rowShows(page, state);
    await curvesShow(page, state);
  });
  await test.step('another token', async () => {
    await page.locator('.chip').nth(6).click();
    await page.mouse.move(3, 3);
    state.token = 6;
    await rowShows(page, state);
    await curvesShow(page, state);
  });
  for (const strip of ['layer_11_resid_post', 'layer_0_q', 'layer_5_mlp_output'])
    await test.step(`another activation: ${strip}`, async () => {
      await page.getByTestId(`tap-${strip}`).click();
      state.strip = strip;
      await stripShows(page, state);
    });
  await lengthsShow(page, state, 'mlp_output', [0, 5, 11]);
  await test.step('another scale', async () => {
    await page.getByTestId('attention').getByRole('checkbox').click();
    await everythingShows(page, state);
  });
  await test.step('another theme', async () => {
    await page.emulateMedia({ colorScheme: 'dark' });
    state.theme = 'dark';
    await everythingShows(page, state);
  });
  await test.step('another language', async () => {
    await page.getByTestId('language').click();
    await expect(page.locator('html')).toHaveAttribute('lang', 'zh-CN');
    await mapsShow(page, state);
    await rowShows(page, state);
    await curvesShow(page, state);
    await stripShows(page, state);
    await page.getByTestId('language').click();
  });
  await test.step('another text', async () => {
    await page.locator('#prompt').fill(other.text ?? '');
    await answered(page, other.ids.length);
    state.prompt = other;
    // No token of the new text is locked yet, so the last one looks.
    state.token = other.ids.length - 1;
    await everythingShows(page, state);
  });
});

test('with heads switched off, every picture is of what is left', async ({ page }) => {
  await page.setViewportSize({ width: 1440, height: 1000 });
  await page.emulateMedia({ colorScheme: 'light' });
  const text = encodeURIComponent(sentence.text ?? '');
  const token = sentence.ids.length - 1;
  const state: State = {
    prompt: sentence,
    head: [11, 3],
    token,
    strip: '',
    theme: 'light',
    off: '',
  };
  const off = demo.headsOff.map((head) => head.join('.')).join('_');
  await page.goto(`/#lang=en&on=wasm&v=fp32&p=${text}&h=11.3&off=${off}`);
  await expect(page.getByTestId('off-badge')).toContainText('2 heads');
  await answered(page, sentence.ids.length);
  state.off = '_heads_off';
  await mapsShow(page, state);
  await rowShows(page, state);
  await curvesShow(page, state);
  await predictionShows(page, state);
  await page.getByTestId('restore').click();
  state.off = '';
  await mapsShow(page, state);
  await curvesShow(page, state);
  await predictionShows(page, state);
});

/** The numbers that the page saves of the head it shows; nothing for tokens to come. */
async function savedClaim(page: Page, tokens: number): Promise<number[][]> {
  const rows = (await saved(page, 'CSV')).toString('utf8').trim().split('\r\n').slice(1);
  expect(rows).toHaveLength(tokens);
  return rows.map((row) => row.split(',').slice(-tokens).map(Number));
}

function asClaim(rows: readonly (readonly number[])[]): Claim {
  return rows.map((row, query) => row.map((value, key) => (key > query ? null : value)));
}

test('another variant, and two side by side, show their own numbers', async ({ page }) => {
  test.setTimeout(300_000);
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 1440, height: 1000 });
  const text = encodeURIComponent(sentence.text ?? '');
  await page.goto(`/#lang=en&on=wasm&v=q4&p=${text}&h=5.2`);
  await expect(page.getByTestId('variant-bar')).toContainText('q4');
  await answered(page, sentence.ids.length);
  const n = sentence.ids.length;
  const heads: readonly [number, number][] = [
    [5, 2],
    [11, 0],
  ];
  const ofQ4 = new Map<string, number[][]>();
  for (const head of heads) {
    await page.getByTestId(`head-${head.join('-')}`).click();
    await page.mouse.move(3, 3);
    // The first of them is locked by the link, and let go by the click.
    if (head === heads[0]) await page.getByTestId(`head-${head.join('-')}`).click();
    await page.mouse.move(3, 3);
    await expect(page.getByTestId('shown-head')).toContainText(`Layer ${head[0]}, head ${head[1]}`);
    const rows = await savedClaim(page, n);
    ofQ4.set(head.join('.'), rows);
    const scale = weights(await rootChosen(page));
    const drawn = `q4, head ${head.join('.')}`;
    await expectDrawn(largeMap(page), asClaim(rows), scale, 'light', drawn);
    // Rounded weights give another picture, so that the next comparison can fail.
    expect(
      difference(await drawingOf(largeMap(page)), probabilities(sentence, ...head), scale, 'light'),
    ).not.toBe('');
  }

  // The same page with float32.
  await page.getByTestId('variants-toggle').click();
  await page.getByTestId('variant-fp32').getByRole('button').click();
  await expect(page.getByTestId('variant-bar')).toContainText('fp32 on');
  await answered(page, n);
  const shown = heads[1] ?? [NaN, NaN];
  await expectDrawn(
    largeMap(page),
    probabilities(sentence, ...shown),
    weights(await rootChosen(page)),
    'light',
    'the large map after the change of the variant',
  );

  // Beside each other: q4 less PyTorch's float32.
  await page.getByTestId('to-compare').click();
  const compare = page.getByTestId('compare');
  await compare.getByRole('combobox', { name: 'Beside' }).selectOption('q4');
  await page.getByTestId('compare-load').click();
  const canvas = page.getByTestId('difference-map').locator('canvas');
  for (const theme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme: theme });
    for (const head of heads) {
      await page.getByTestId('difference-layer').selectOption(String(head[0]));
      await page.getByTestId('difference-head').selectOption(String(head[1]));
      const claim = probabilities(sentence, ...head).map((row, query) =>
        row.map((value, key) =>
          value === null ? null : (ofQ4.get(head.join('.'))?.[query]?.[key] ?? NaN) - value,
        ),
      );
      const scale = signedTo(limitOf(claim), false);
      await expectDrawn(canvas, claim, scale, theme, `the difference of ${head.join('.')}`);
      const svg = (await saved(page, 'SVG', 'difference')).toString('utf8');
      const points = (number: string, value: number): boolean => {
        const digits = number.includes('.') ? 1 : 0;
        const written = Number(number.replace('−', '-') || 0);
        // Nothing is written where it rounds to nothing, which takes one digit in a map of small differences.
        return Math.abs(written - 100 * value) <= (number === '' ? 0.51 : 0.51 * 10 ** -digits);
      };
      expect(savedDifference(svg, claim, scale, theme, points)).toBe('');
      expect(svg).toContain(`Layer ${head[0]}, head ${head[1]}`);
    }
  }
  const pairs = page.getByTestId('pair');
  const end =
    Number.parseFloat((await compare.locator('.axis span').last().textContent()) ?? '') / 100;
  for (const side of ['a', 'b'] as const) {
    const shares = await pairs.evaluateAll(
      (all, name) => all.map((pair) => Number(pair.getAttribute(`data-${name}`))),
      side,
    );
    await expectFilled(
      pairs.locator(`.fill.${side}`),
      shares.map((share) => Math.min(1, share / end)),
      `the bars of ${side}`,
    );
  }
});

test('the plot of variants has a dot where each one’s size and divergence are', async ({
  page,
}) => {
  const manifest = JSON.parse(
    readFileSync(
      fileURLToPath(new URL('../../apps/web/static/models/demo/manifest.json', import.meta.url)),
      'utf8',
    ),
  ) as Manifest;
  await page.goto('/#lang=en&on=wasm&v=fp32');
  await page.getByTestId('variants-toggle').click();
  const plot = page.getByTestId('variants').locator('svg[role=img]');
  await plot.scrollIntoViewIfNeeded();
  const { dots, across, upwards } = await plot.evaluate((svg) => {
    const number = (element: Element, name: string): number => Number(element.getAttribute(name));
    const texts = [...svg.querySelectorAll('text')];
    return {
      dots: [...svg.querySelectorAll('circle')].map((dot) => [
        number(dot, 'cx'),
        number(dot, 'cy'),
      ]),
      across: texts
        .filter((text) => text.getAttribute('text-anchor') === 'middle')
        .map((text) => [Number(text.textContent), number(text, 'x')])
        .filter(([value]) => Number.isFinite(value)),
      upwards: texts
        .map((text) => [text.textContent.trim(), number(text, 'y')] as const)
        .filter(([text]) => /10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+$/.test(text)),
    };
  });
  // The axes' own ticks say where a value stands.
  const line = (ticks: readonly (readonly [number, number])[]): ((value: number) => number) => {
    const [first = [NaN, NaN], last = [NaN, NaN]] = [ticks[0], ticks.at(-1)];
    return (value) => first[1] + ((value - first[0]) / (last[0] - first[0])) * (last[1] - first[1]);
  };
  const digits = new Map(Array.from('⁰¹²³⁴⁵⁶⁷⁸⁹⁻', (sign, at) => [sign, '0123456789-'[at] ?? '']));
  const exponentOf = (text: string): number => {
    const [, power = ''] = /10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)$/.exec(text) ?? [];
    return Number(Array.from(power, (sign) => digits.get(sign)).join(''));
  };
  const x = line(across.map(([value = NaN, at = NaN]) => [value * 1e6, at] as const));
  const y = line(upwards.map(([text, at]) => [exponentOf(text), at - 4] as const));
  const lowest = Math.min(...upwards.map(([text]) => exponentOf(text)));
  const wanted = manifest.variants.flatMap((variant) => {
    const { weights: files, fidelity } = variant;
    if (fidelity === undefined) return [];
    const { tokenizer } = manifest;
    const ofText = [tokenizer?.tokenizer, tokenizer?.config, tokenizer?.cases];
    const opened = [...files, sessionGraph(variant).path, ...ofText];
    const size = manifest.files.reduce(
      (sum, file) => sum + (opened.includes(file.path) ? file.bytes : 0),
      0,
    );
    const exponent = Math.max(lowest, Math.log10(fidelity.kl_mean));
    return [[x(size), y(exponent)]];
  });
  const sorted = (points: readonly (readonly number[])[]) =>
    points.toSorted(([a = 0, aUp = 0], [b = 0, bUp = 0]) => Math.round(a - b) || aUp - bUp);
  expect(dots.length).toBeGreaterThan(4);
  expect(dots).toHaveLength(wanted.length);
  for (const [at, [dotX = NaN, dotY = NaN]] of sorted(dots).entries()) {
    const [wantedX = NaN, wantedY = NaN] = sorted(wanted)[at] ?? [];
    expect(Math.abs(dotX - wantedX)).toBeLessThan(1);
    expect(Math.abs(dotY - wantedY)).toBeLessThan(1);
  }
});
