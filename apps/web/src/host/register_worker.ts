// Registers the service worker of a production build (service_worker.ts), and lets a newer one take over.
import type { TakeOver } from './take_over';
import './trusted_scripts';

/**
 * Register the service worker. `page` is the address of the page's first script. Resolves to null without TLS, and
 * where the browser or its user refuses.
 */
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
    // The page works without a service worker, but not without a network.
    return null;
  }
}

function offerPage(registration: ServiceWorkerRegistration, message: TakeOver): void {
  const tell = (): void => registration.waiting?.postMessage(message);
  const tellOnceInstalled = (): void => {
    registration.installing?.addEventListener('statechange', tell);
  };
  registration.addEventListener('updatefound', tellOnceInstalled);
  // The navigation to this page may have found the update before this listener was added.
  tellOnceInstalled();
  // Other pages may have been closed meanwhile.
  document.addEventListener('visibilitychange', tell);
  tell();
  // Without a network there is no update to find.
  registration.update().catch(() => undefined);
}
