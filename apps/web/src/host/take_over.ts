// The message with which a page tells a newer, waiting service worker its build. service_worker.ts handles it.
export interface TakeOver {
  readonly kind: 'take-over';
  /** Address of the page's first script, which names its build. */
  readonly page: string;
}
