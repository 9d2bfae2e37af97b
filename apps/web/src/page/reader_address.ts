// The reader's own address, which a lesson gives back when it ends, and the page as one that asks for lessons.
import { allowedOrigins } from '../bundle/address/allowed_origins';
import type { AskingPage } from '../lessons/lesson_address';

const { VITE_MODEL_URL, VITE_MODEL_ORIGINS } = import.meta.env;

/** Kept over a reload in the middle of a lesson. */
const KEY = 'oriel.before-lesson';

export function askingPage(): AskingPage {
  return {
    href: location.href,
    base: new URL(import.meta.env.BASE_URL, document.baseURI).href,
    allowed: allowedOrigins(VITE_MODEL_URL, VITE_MODEL_ORIGINS),
  };
}

export function hashOf(address: string): string {
  return new URL(address).hash;
}

export function searchOf(address: string): string {
  return new URL(address).search;
}

// Storage may be switched off; then a reload in the middle of a lesson forgets the reader's own state.
export function keepAddress(address: string | null): void {
  try {
    if (address === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, address);
  } catch {
    return;
  }
}

export function keptAddress(): string | null {
  try {
    const kept = sessionStorage.getItem(KEY);
    return kept !== null && URL.canParse(kept) ? kept : null;
  } catch {
    return null;
  }
}
