// The versions of the contract that this page reads. The manifest's own rules are in validate_manifest.ts.
import { contractVersion } from './activation_table';

const versionPattern = /^(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})$/;

/** The supported versions as shown to users, for example `1.x`. */
export const supportedVersions = `${major(contractVersion) ?? ''}.x`;

function major(version: string): string | undefined {
  return versionPattern.exec(version)?.[1];
}

/** Return true for every minor version of our major: newer minors only add, and their additions are ignored. */
export function isSupportedVersion(version: string): boolean {
  return major(version) === major(contractVersion);
}
