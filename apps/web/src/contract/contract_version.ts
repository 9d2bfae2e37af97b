// Which versions of the contract this reader takes. The manifest's own rules are in validate_manifest.ts.
import { contractVersion } from './activation_table';

const versionPattern = /^(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})$/;

/** What a user is told that this page reads, for example `1.x`. */
export const supportedVersions = `${major(contractVersion) ?? ''}.x`;

function major(version: string): string | undefined {
  return versionPattern.exec(version)?.[1];
}

/** Any minor of our major: newer minors only add, and what they add is ignored. */
export function isSupportedVersion(version: string): boolean {
  return major(version) === major(contractVersion);
}
