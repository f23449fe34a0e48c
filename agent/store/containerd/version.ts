/**
 * Whether this version of containerd publishes `/content/create` events, as 2.1 and later do. A version that cannot be
 * parsed, such as a development build, counts as older: that costs polling at most.
 */
export function publishesContentEvents(version: string): boolean {
  const match = /^v?(\d+)\.(\d+)\./.exec(version);
  if (match === null) return false;
  const [major, minor] = [Number(match[1]), Number(match[2])];
  return major > 2 || (major === 2 && minor >= 1);
}
