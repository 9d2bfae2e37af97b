// Registers the service worker of a production build, and lets a newer one take over. What it does: service_worker.ts.
import type { TakeOver } from './take_over';
import './trusted_scripts';

/** `page` is the address of the page's first script. Null without TLS, and where the browser or its user refuses. */
export async function registerWorker(page: string): Promise<ServiceWorkerRegistration | null> {
  if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return null;
  const scope = import.meta.env.BASE_URL;
  try {
    const registration = await navigator.serviceWorker.register(`${scope}service_worker.js`, {
      scope,
      updateViaCache: 'none',
    });
    offerPage(registration, { kind: 'take-over', page });
    return registration;
  } catch {
    // The page works without; it only isn't there without a network.
    return null;
  }
}

function offerPage(registration: ServiceWorkerRegistration, message: TakeOver): void {
  const tell = (): void => registration.waiting?.postMessage(message);
  const tellOnceInstalled = (): void => {
    registration.installing?.addEventListener('statechange', tell);
  };
  registration.addEventListener('updatefound', tellOnceInstalled);
  // Going to the page may have found it before the page could listen.
  tellOnceInstalled();
  // Other pages may have been closed meanwhile.
  document.addEventListener('visibilitychange', tell);
  tell();
  // Without a network there is no newer one.
  registration.update().catch(() => undefined);
}
