// Isolates the page on a host that doesn't: reloads it once, when its service worker can add the headers. Threads in
// wasm need that; without it the runtime has one, and the page says so.

const triedKey = 'oriel reloaded for isolation';
/** An engine that starts late with threads is no better than one that starts now. */
const patienceMs = 8000;
/** A page that is to come comes in less. */
const reloadMs = 20_000;

/** What decides about a reload. */
export interface Surroundings {
  /** undefined where the browser doesn't know of isolation. */
  readonly isolated: boolean | undefined;
  /** A page inside another one is isolated with that one or not at all. */
  readonly framed: boolean;
  readonly processors: number;
  /** The page was reloaded for it before, and it came to nothing. */
  readonly tried: boolean;
}

export function reloadMayIsolate({ isolated, framed, processors, tried }: Surroundings): boolean {
  return isolated === false && !framed && processors > 1 && !tried;
}

/**
 * Settles when the engine may start: at once, unless the page is about to be reloaded. `registered` gives null where
 * there is no service worker.
 */
export async function settleIsolation(
  registered: Promise<ServiceWorkerRegistration | null>,
): Promise<void> {
  const surroundings: Surroundings = {
    isolated: globalThis.crossOriginIsolated,
    framed: window.parent !== window,
    processors: navigator.hardwareConcurrency,
    tried: remembered(),
  };
  if (surroundings.isolated === true) forget();
  if (!reloadMayIsolate(surroundings)) return;
  const registration = await Promise.race([registered, pause(patienceMs).then(() => null)]);
  if (registration === null || !(await isActive(registration)) || !remember()) return;
  location.reload();
  // The engine would only start to be stopped; but a host that does not answer now leaves the page that is here.
  await pause(reloadMs);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits for the first installation; false where it fails or takes too long. */
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
    }, patienceMs);
  });
}

// Session storage throws where the visitor allows none. A reload that can't be remembered could go on for ever.

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
    // Then there was nothing to forget.
  }
}
