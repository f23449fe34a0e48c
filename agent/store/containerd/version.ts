/**
 * Whether containerd of this version publishes `/content/create`, as it does from 2.1. A version that cannot be
 * understood, a development build for instance, counts as one that does not: that costs polling at most.
 */
export function publishesContentEvents(version: string): boolean {
  const match = /^v?(\d+)\.(\d+)\./.exec(version);
  if (match === null) return false;
  const [major, minor] = [Number(match[1]), Number(match[2])];
  return major > 2 || (major === 2 && minor >= 1);
}
