/** Whether the text is a pattern of hosts, rather than a host. */
export function isHostPattern(text: string): boolean {
  return /[*?]/.test(text);
}

/**
 * Whether a host is one of a pattern, as the kubelet has them: each label of the name against that of the pattern, where `*`
 * stands for any characters and `?` for one, none of which is a dot. Ports must be equal.
 *
 * @param pattern a host, or one with `*` or `?` in its labels; canonical, as the host
 * @see Kubernetes pkg/credentialprovider, URLsMatch
 */
export function matchesHost(pattern: string, host: string): boolean {
  if (!isHostPattern(pattern)) return pattern === host;
  const [wanted, wantedPort] = pattern.split(':');
  const [name, port, ...more] = host.split(':');
  // An IPv6 address has more colons, and no labels.
  if (port !== wantedPort || more.length > 0) return false;
  const [patterns, labels] = [wanted, name].map((it) => (it ?? '').split('.')) as [
    string[],
    string[],
  ];
  return (
    patterns.length === labels.length &&
    patterns.every((it, index) => matchesLabel(it, labels[index] ?? ''))
  );
}

/** In time that grows with the product of the lengths at most, whatever the pattern. */
function matchesLabel(pattern: string, label: string): boolean {
  let [at, read] = [0, 0];
  let [star, mark] = [-1, 0];
  while (read < label.length) {
    const expected = pattern[at];
    if (expected === '*') {
      [star, mark] = [at, read];
      at += 1;
    } else if (expected === '?' || expected === label[read]) {
      at += 1;
      read += 1;
    } else if (star >= 0) {
      mark += 1;
      [at, read] = [star + 1, mark];
    } else {
      return false;
    }
  }
  return /^\**$/.test(pattern.slice(at));
}
