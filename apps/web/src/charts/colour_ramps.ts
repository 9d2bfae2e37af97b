// Colour for numbers: ramps even in lightness (OKLab), one for each kind of data, light and dark. No drawing here.

export type Theme = 'light' | 'dark';
/** The kind of a value, which decides its ramp: `weight` and `probability` run from 0 up, `signed` both ways from 0. */
export type DataKind = 'weight' | 'probability' | 'signed' | 'magnitude';

/** 256 colours; `css` for text and vector output, `rgba` packed for ImageData on a little-endian machine. */
export interface Ramp {
  rgba: Uint32Array;
  css: readonly string[];
}

type Oklch = readonly [lightness: number, chroma: number, hue: number];

const ANCHORS: Record<DataKind, Record<Theme, readonly Oklch[]>> = {
  weight: {
    light: [
      [0.985, 0.004, 265],
      [0.86, 0.06, 262],
      [0.66, 0.13, 262],
      [0.46, 0.155, 266],
      [0.27, 0.11, 270],
    ],
    dark: [
      [0.235, 0.012, 265],
      [0.38, 0.1, 268],
      [0.56, 0.15, 264],
      [0.76, 0.115, 250],
      [0.95, 0.04, 230],
    ],
  },
  probability: {
    light: [
      [0.985, 0.006, 175],
      [0.88, 0.06, 178],
      [0.71, 0.095, 182],
      [0.52, 0.085, 190],
      [0.34, 0.06, 200],
    ],
    dark: [
      [0.235, 0.01, 190],
      [0.36, 0.05, 195],
      [0.53, 0.08, 188],
      [0.74, 0.1, 178],
      [0.94, 0.06, 165],
    ],
  },
  signed: {
    light: [
      [0.36, 0.1, 245],
      [0.58, 0.115, 240],
      [0.82, 0.06, 235],
      [0.98, 0.003, 90],
      [0.83, 0.085, 75],
      [0.62, 0.12, 62],
      [0.4, 0.09, 55],
    ],
    dark: [
      [0.88, 0.07, 225],
      [0.68, 0.12, 238],
      [0.42, 0.085, 245],
      [0.235, 0.005, 265],
      [0.44, 0.075, 65],
      [0.7, 0.125, 70],
      [0.92, 0.08, 85],
    ],
  },
  magnitude: {
    light: [
      [0.985, 0.004, 310],
      [0.84, 0.05, 312],
      [0.64, 0.1, 314],
      [0.44, 0.12, 316],
      [0.28, 0.09, 318],
    ],
    dark: [
      [0.235, 0.012, 310],
      [0.38, 0.07, 312],
      [0.55, 0.11, 316],
      [0.76, 0.09, 322],
      [0.95, 0.03, 330],
    ],
  },
};

const STEPS = 256;
const made = new Map<string, Ramp>();

export function rampFor(kind: DataKind, theme: Theme): Ramp {
  const key = `${kind} ${theme}`;
  let ramp = made.get(key);
  if (ramp === undefined) {
    ramp = makeRamp(ANCHORS[kind][theme]);
    made.set(key, ramp);
  }
  return ramp;
}

function makeRamp(anchors: readonly Oklch[]): Ramp {
  const rgba = new Uint32Array(STEPS);
  const css: string[] = [];
  const labs = anchors.map(([lightness, chroma, hue]) => {
    const angle = (hue * Math.PI) / 180;
    return [lightness, chroma * Math.cos(angle), chroma * Math.sin(angle)] as const;
  });
  for (let step = 0; step < STEPS; step++) {
    const at = (step / (STEPS - 1)) * (labs.length - 1);
    const low = Math.min(labs.length - 2, Math.floor(at));
    const from = labs[low] ?? [0, 0, 0];
    const to = labs[low + 1] ?? from;
    const mix = at - low;
    const [red, green, blue] = srgbFromOklab(
      from[0] + (to[0] - from[0]) * mix,
      from[1] + (to[1] - from[1]) * mix,
      from[2] + (to[2] - from[2]) * mix,
    );
    rgba[step] = ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
    css.push(`rgb(${red} ${green} ${blue})`);
  }
  return { rgba, css };
}

/** Björn Ottosson's OKLab to 8-bit sRGB, clipped to the gamut. https://bottosson.github.io/posts/oklab/ */
function srgbFromOklab(lightness: number, a: number, b: number): [number, number, number] {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    encoded(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
    encoded(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
    encoded(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s),
  ];
}

function encoded(linear: number): number {
  const clipped = Math.min(1, Math.max(0, linear));
  const value = clipped <= 0.0031308 ? 12.92 * clipped : 1.055 * clipped ** (1 / 2.4) - 0.055;
  return Math.round(255 * value);
}

/** The mapping of values to positions on the ramp, 0 to 1. `root` spreads out small values, as the legend says. */
export interface ValueScale {
  kind: DataKind;
  /** The value at the ramp's end. */
  limit: number;
  root: boolean;
  /** Positions follow the logarithm over so many powers of ten below the limit, and not the square root. */
  decades?: number;
}

export function placeOnRamp(value: number, scale: ValueScale): number {
  if (scale.limit <= 0 || Number.isNaN(value)) return scale.kind === 'signed' ? 0.5 : 0;
  const share = Math.min(1, Math.abs(value) / scale.limit);
  const bent = bentBy(share, scale);
  if (scale.kind !== 'signed') return bent;
  return 0.5 + (Math.sign(value) * bent) / 2;
}

function bentBy(share: number, { decades, root }: ValueScale): number {
  if (decades !== undefined) return Math.max(0, 1 + Math.log10(share) / decades);
  return root ? Math.sqrt(share) : share;
}

/** Return the value, without its sign, at a share of the way from 0 to the ramp's end. */
export function valueAt(place: number, { decades, root, limit }: ValueScale): number {
  if (decades !== undefined) return limit * 10 ** (decades * (place - 1));
  return limit * (root ? place * place : place);
}

export function rampIndex(value: number, scale: ValueScale): number {
  return Math.round(placeOnRamp(value, scale) * (STEPS - 1));
}

export function colourOf(value: number, scale: ValueScale, theme: Theme): string {
  return rampFor(scale.kind, theme).css[rampIndex(value, scale)] ?? 'transparent';
}

/**
 * Return black or white, whichever contrasts more with the colour of `value`: at least 4.5 to 1 (WCAG 1.4.3) on any
 * colour, which a near-black would not reach.
 */
export function inkOn(value: number, scale: ValueScale, theme: Theme): string {
  const packed = rampFor(scale.kind, theme).rgba[rampIndex(value, scale)] ?? 0;
  const luminance =
    0.2126 * linear(packed & 255) +
    0.7152 * linear((packed >> 8) & 255) +
    0.0722 * linear((packed >> 16) & 255);
  // The luminance at which both contrasts are equal: (L + 0.05) / 0.05 = 1.05 / (L + 0.05).
  return luminance > 0.179 ? '#000000' : '#ffffff';
}

function linear(byte: number): number {
  const share = byte / 255;
  return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
}
