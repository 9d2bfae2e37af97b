// The texts of every language at once: for a saved page, which fetches nothing, and for tests.
import { en } from './en/index';
import type { Language } from './languages';
import type { Dictionary } from './shape';
import { zh } from './zh/index';

export const DICTIONARIES: Record<Language, Dictionary> = { en, zh };
