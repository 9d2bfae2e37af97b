// What a page tells a newer service worker that waits: whose page it is. The answer is in service_worker.ts.
export interface TakeOver {
  readonly kind: 'take-over';
  /** Address of the page's first script, which names its build. */
  readonly page: string;
}
