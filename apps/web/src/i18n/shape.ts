// The texts that every language has, as English gives them.
import type { en } from './en/index';
import type { page } from './en/page';

export type Dictionary = typeof en;
/** The texts that stand in no section of their own. */
export type PageTexts = typeof page;
