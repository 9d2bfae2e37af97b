// The versions of the contract that this page reads. The manifest's own rules are in validate_manifest.ts.
import { contractVersion, earlierVersion } from './activation_table';

const versionPattern = /^(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})$/;

/** The newest minor version that is known of each major. */
const newest = new Map(
  [earlierVersion, contractVersion].flatMap((version) => {
    const parts = versionPattern.exec(version);
    return parts === null ? [] : [[parts[1], Number(parts[2])] as const];
  }),
);

/** The supported versions as shown to users, for example `1.x, 2.x`. */
export const supportedVersions = Array.from(newest.keys(), (major) => `${major ?? ''}.x`).join(
  ', ',
);

/** Return true for every minor version of our majors: newer minors only add, and their additions are ignored. */
export function isSupportedVersion(version: string): boolean {
  return newest.has(versionPattern.exec(version)?.[1]);
}

/** Return true for a minor version that is newer than the newest known one of its major. */
export function isNewerMinor(version: string): boolean {
  const [, major, minor] = versionPattern.exec(version) ?? [];
  const known = newest.get(major);
  return known !== undefined && Number(minor) > known;
}
