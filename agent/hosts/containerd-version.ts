/** Major and minor version of containerd. */
export type ContainerdVersion = readonly [major: number, minor: number];

/** Parses major and minor of `1.6.20` or `v2.1.9`; undefined for another form. */
export function parseContainerdVersion(version: string): ContainerdVersion | undefined {
  const match = /^v?(\d+)\.(\d+)(?:[.+~-]|$)/.exec(version);
  return match === null ? undefined : [Number(match[1]), Number(match[2])];
}

/** Whether a version is at least another one. */
export function isAtLeast(
  [major, minor]: ContainerdVersion,
  [wantedMajor, wantedMinor]: ContainerdVersion,
): boolean {
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}
