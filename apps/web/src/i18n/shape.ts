// The texts that every language has, as English gives them.
import type { en } from './en';

export type Dictionary = typeof en;
export type Language = Dictionary['code'];
