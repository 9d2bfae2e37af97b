// Lets scripts and workers of the page's own host start where the page requires Trusted Types, and no others. The
// requirement is in apps/web/plugins/content_security_policy.ts.

/** As far as it is needed here; TypeScript's libraries don't know it yet. */
interface TrustedTypes {
  createPolicy(name: 'default', rules: { createScriptURL(url: string): string | null }): unknown;
}

// The default policy, since it is the runtime that starts its threads, with a plain address.
(globalThis as { trustedTypes?: TrustedTypes }).trustedTypes?.createPolicy('default', {
  createScriptURL: (url) =>
    new URL(url, self.location.href).origin === self.location.origin ? url : null,
});
