// The number of examples that property tests draw: a tenth of them, or all under `make test-thorough`.
import fc from 'fast-check';

const thorough = process.env['ORIEL_THOROUGH'] === '1';

/** Return how many of `all` examples to draw; rare cases need a few at least. */
export function examples(all: number): number {
  return thorough ? all : Math.max(10, Math.round(all / 10));
}

/** Set what a property draws that names no number; fast-check's own default is 100. */
fc.configureGlobal({ numRuns: examples(100) });
