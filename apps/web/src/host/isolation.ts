// Makes the page cross-origin isolated on a host that does not send the headers: reloads it once its service worker can
// add them. Threads in wasm need isolation; without it the runtime has one thread, and the page says so.

const triedKey = 'oriel reloaded for isolation';
/** Longest wait for the service worker: starting the engine later than this costs more than threads would gain. */
const timeoutMs = 8000;
/** Longest wait for the reload; a page that loads at all takes less. */
const reloadMs = 20_000;

/** Facts that decide whether to reload. */
export interface PageState {
  /** undefined where the browser does not support cross-origin isolation. */
  readonly isolated: boolean | undefined;
  /** True inside a frame: a framed page is isolated only if the page around it is. */
  readonly framed: boolean;
  readonly processors: number;
  /** True if the page was reloaded for isolation before, without success. */
  readonly tried: boolean;
}

export function reloadMayIsolate({ isolated, framed, processors, tried }: PageState): boolean {
  return isolated === false && !framed && processors > 1 && !tried;
}

/**
 * Settle when the engine may start: at once, unless the page is about to be reloaded. `registered` resolves to null
 * where there is no service worker.
 */
export async function settleIsolation(
  registered: Promise<ServiceWorkerRegistration | null>,
): Promise<void> {
  const state: PageState = {
    isolated: globalThis.crossOriginIsolated,
    framed: window.parent !== window,
    processors: navigator.hardwareConcurrency,
    tried: remembered(),
  };
  if (state.isolated === true) forget();
  if (!reloadMayIsolate(state)) return;
  const registration = await Promise.race([registered, pause(timeoutMs).then(() => null)]);
  if (registration === null || !(await isActive(registration)) || !remember()) return;
  location.reload();
  // An engine started now is lost when the page reloads. If the host does not answer, this page stays and starts it.
  await pause(reloadMs);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Wait for the first installation; false where it fails or takes too long. */
async function isActive(registration: ServiceWorkerRegistration): Promise<boolean> {
  const worker = registration.active ?? registration.waiting ?? registration.installing;
  if (worker === null) return false;
  return new Promise((resolve) => {
    const look = (): void => {
      if (worker.state === 'activated') resolve(true);
      else if (worker.state === 'redundant') resolve(false);
    };
    worker.addEventListener('statechange', look);
    look();
    setTimeout(() => {
      resolve(false);
    }, timeoutMs);
  });
}

// Session storage throws where the visitor disallows it. A reload that cannot be remembered could repeat for ever.

function remembered(): boolean {
  try {
    return sessionStorage.getItem(triedKey) !== null;
  } catch {
    return true;
  }
}

function remember(): boolean {
  try {
    sessionStorage.setItem(triedKey, '1');
    return true;
  } catch {
    return false;
  }
}

function forget(): void {
  try {
    sessionStorage.removeItem(triedKey);
  } catch {
    // Without storage there is nothing to remove.
  }
}
