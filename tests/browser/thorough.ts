/** True in the nightly run, which also repeats what `make test` has seen in another way or on another device. */
export const isThorough = process.env['ORIEL_THOROUGH'] === '1';
