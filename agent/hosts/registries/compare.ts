import { isRegistry } from '../../oci/reference.ts';
import type { NodeReader } from './node-reader.ts';
import type { LocatedConfig } from './read-configs.ts';
import type { LocatedMirror } from './read-mirrors.ts';
import { DOCKER_HUB_HOST } from './registries.ts';
import { editDistance } from './words.ts';

/** Reports contradictions between the two sections: settings for unknown hosts, and TLS settings for http endpoints. */
export function compareSections(
  reader: NodeReader,
  mirrors: ReadonlyMap<string, LocatedMirror>,
  configs: ReadonlyMap<string, LocatedConfig>,
): void {
  const hosts = new Set([...mirrors.keys()].filter((name) => name === '*' || isRegistry(name)));
  if (hosts.has('docker.io')) hosts.add(DOCKER_HUB_HOST);
  for (const { endpoints } of mirrors.values()) {
    for (const { host, url, at, secured } of endpoints) {
      hosts.add(host);
      const config = configs.get(host);
      if (config?.tls === undefined || !url.startsWith('http:')) continue;
      const line = reader.source.locate(reader.at(config.entry.keyNode)).line;
      const message = `the endpoint is http, but line ${line} has tls settings for it: containerd would try https first; write https, or remove tls: there`;
      const finding = { code: 'tls-on-http', severity: 'warning', at, message } as const;
      reader.source.add({ ...finding, edit: secured, isChoice: true });
    }
  }
  for (const [host, { entry }] of configs) {
    // The comparison is quadratic, so it stops when no more findings are kept.
    if (reader.source.isFull) return;
    if (host === '*' || hosts.has(host)) continue;
    const near = nearestHost(host, [...hosts]);
    const hint =
      near === undefined
        ? 'it is used only for images whose name begins with it'
        : `did you mean ${near}?`;
    reader.source.add({
      code: 'unused-config',
      severity: 'warning',
      at: reader.at(entry.keyNode),
      message: `${reader.nameOf(entry) ?? 'this'} is neither an endpoint nor a registry under mirrors; ${hint}`,
      edit: near === undefined ? undefined : reader.replaceQuoted(entry.keyNode, near),
      isChoice: true,
    });
  }
}

/** A host that differs only in its port, or by at most two edits. */
function nearestHost(host: string, hosts: readonly string[]): string | undefined {
  const bare = (text: string): string => text.replace(/:\d+$/, '');
  return (
    hosts.find((other) => other !== '*' && bare(other) === bare(host)) ??
    hosts.find((other) => other.length < 64 && host.length < 64 && editDistance(other, host) <= 2)
  );
}
