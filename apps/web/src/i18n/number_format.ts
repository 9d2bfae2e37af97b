// Numbers as text. A probability is never rounded to 0% or to 100% unless it is exactly that.

/** A narrow space that does not let a line break between a number and its unit. */
const THIN = '\u202f';
const MINUS = '\u2212';

/** 0.431 → "43.1%", 0.000031 → "0.0031%", 2e-9 → "2.0 × 10⁻⁷%". */
export function percent(probability: number): string {
  return percentNumber(probability) + '%';
}

function percentNumber(probability: number): string {
  const value = probability * 100;
  if (value === 0 || value === 100) return value.toFixed(0);
  if (value < 0) return MINUS + percentNumber(-probability);
  if (value >= 99.95) {
    // As many nines as it takes to stay below 100.
    const digits = Math.min(10, Math.max(2, Math.ceil(-Math.log10(100 - value)) + 1));
    const text = value.toFixed(digits);
    return Number(text) >= 100 && value < 100 ? `>99.${'9'.repeat(digits)}` : text;
  }
  if (value >= 10) return value.toFixed(1);
  if (value >= 1) return value.toFixed(2);
  if (value >= 0.0001) return decimal(value, 2);
  return scientific(value, 2);
}

/** Write a difference of probabilities in percentage points, with its sign. */
export function points(difference: number): string {
  if (difference === 0) return '0';
  const text = percentNumber(Math.abs(difference));
  return (difference > 0 ? '+' : MINUS) + text;
}

/** Write a number with `digits` significant digits and no exponent. */
function decimal(value: number, digits: number): string {
  const places = Math.max(0, digits - 1 - Math.floor(Math.log10(value)));
  return value.toFixed(Math.min(20, places));
}

function scientific(value: number, digits: number): string {
  const [mantissa = '0', exponent = '0'] = value.toExponential(digits - 1).split('e');
  return `${mantissa}${THIN}×${THIN}10${superscript(Number(exponent))}`;
}

function superscript(value: number): string {
  return Array.from(String(value))
    .map((digit) => (digit === '-' ? '⁻' : ('⁰¹²³⁴⁵⁶⁷⁸⁹'[Number(digit)] ?? '')))
    .join('');
}

/** Write an activation with four significant digits and a true minus sign. */
export function signed(value: number): string {
  const size = Math.abs(value);
  const text =
    size === 0
      ? '0'
      : size >= 1e5 || size < 1e-4
        ? scientific(size, 3)
        : size >= 1000
          ? size.toFixed(0)
          : decimal(size, 4);
  return value < 0 ? MINUS + text : text;
}

/** Write a share of a sum with its sign: +1.234, −0.0071. */
export function share(value: number): string {
  return value > 0 ? `+${signed(value)}` : signed(value);
}

/** Write a number with seven significant digits, as many as float32 has. */
export function exact(value: number): string {
  return value.toPrecision(7).replace('-', MINUS);
}

/** Write bits of entropy, or nats of divergence: 3.72, 0.096, 0.00051; 0 only where it is 0. */
export function information(value: number): string {
  if (value === 0 || value >= 1) return value.toFixed(value === 0 ? 0 : 2);
  return value >= 1e-6 ? decimal(value, 2) : scientific(value, 2);
}

/** Format the size of an error: one digit below 0.001, as in 3 × 10⁻⁷, otherwise as in 0.027. */
export function errorSize(value: number): string {
  if (value === 0) return '0';
  return value < 0.001 ? scientific(value, 1) : decimal(value, 2);
}

/** Write a ratio near 1 with the digits that distinguish it from 1, at most two of them: 1.02, 1.0031, 1.00001. */
export function ratio(value: number): string {
  const off = Math.abs(value - 1);
  const digits = off === 0 ? 2 : Math.min(6, Math.max(2, 1 - Math.floor(Math.log10(off))));
  return value.toFixed(digits).replace(/(\.\d\d\d*?)0+$/, '$1');
}

/** 1.02 → "× 1.02". */
export function times(value: number): string {
  return `×${THIN}${ratio(value)}`;
}

/** −3 → "10⁻³". */
export function powerOfTen(exponent: number): string {
  return `10${superscript(exponent)}`;
}

/** Write a tick of a scale: 25%, 0.5, −12. Two or three digits, no more than the tick needs. */
export function tickPercent(share: number): string {
  return `${Number((share * 100).toPrecision(3))}%`;
}
export function tick(value: number): string {
  return String(Number(value.toPrecision(2))).replace('-', MINUS);
}

export function bytes(count: number): string {
  if (count < 1000) return `${count}${THIN}B`;
  if (count < 1e6) return `${(count / 1e3).toFixed(1)}${THIN}kB`;
  if (count < 1e9) return `${(count / 1e6).toFixed(count < 1e7 ? 2 : 1)}${THIN}MB`;
  return `${(count / 1e9).toFixed(2)}${THIN}GB`;
}

export function milliseconds(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)}${THIN}ms`;
  if (ms < 1000) return `${ms.toFixed(0)}${THIN}ms`;
  return `${(ms / 1000).toFixed(2)}${THIN}s`;
}

/** 4096 → "4,096". */
export function count(value: number): string {
  // toLocaleString takes tens of milliseconds on its first call.
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** 2739584 → "2.74 M". */
export function large(value: number): string {
  if (value < 1e6) return count(value);
  return value < 1e9
    ? `${(value / 1e6).toPrecision(3)}${THIN}M`
    : `${(value / 1e9).toPrecision(3)}${THIN}B`;
}

/** 2739584 → "2.7 million", for a sentence in English. */
export function inMillions(value: number): string {
  if (value < 1e6) return count(value);
  return value < 1e9
    ? `${Number((value / 1e6).toPrecision(2))} million`
    : `${Number((value / 1e9).toPrecision(2))} billion`;
}

/** 2739584 → "274 万": Chinese counts in ten thousands (万) and hundred millions (亿). */
export function inTenThousands(value: number): string {
  if (value < 1e4) return count(value);
  return value < 1e8
    ? `${Number((value / 1e4).toPrecision(3))}${THIN}万`
    : `${Number((value / 1e8).toPrecision(3))}${THIN}亿`;
}
