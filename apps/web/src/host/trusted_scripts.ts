// Allows scripts and workers of the page's own origin, and no others, where the page requires Trusted Types. The
// requirement is in apps/web/plugins/content_security_policy.ts.

/** The part of the Trusted Types API that is needed here; TypeScript's libraries don't have it yet. */
interface TrustedTypes {
  createPolicy(name: 'default', rules: { createScriptURL(url: string): string | null }): unknown;
}

// The default policy, since the runtime itself starts its threads, with a plain string as address.
(globalThis as { trustedTypes?: TrustedTypes }).trustedTypes?.createPolicy('default', {
  createScriptURL: (url) =>
    new URL(url, self.location.href).origin === self.location.origin ? url : null,
});
