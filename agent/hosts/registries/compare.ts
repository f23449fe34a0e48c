import type { NodeReader } from './node-reader.ts';
import type { PlacedConfig } from './read-configs.ts';
import type { PlacedMirror } from './read-mirrors.ts';
import { DOCKER_HUB_HOST } from './registries.ts';
import { editDistance } from './words.ts';

/** Finds what is wrong between the two sections: settings that reach nobody, TLS where there is none. */
export function compareSections(
  reader: NodeReader,
  mirrors: ReadonlyMap<string, PlacedMirror>,
  configs: ReadonlyMap<string, PlacedConfig>,
): void {
  const hosts = new Set<string>(mirrors.keys());
  if (hosts.has('docker.io')) hosts.add(DOCKER_HUB_HOST);
  for (const { endpoints } of mirrors.values()) {
    for (const { host, url, at, secured } of endpoints) {
      hosts.add(host);
      const config = configs.get(host);
      if (config?.tls === undefined || !url.startsWith('http:')) continue;
      const line = reader.source.locate(reader.at(config.entry.keyNode)).line;
      const message = `the endpoint is http, but line ${line} has tls settings for it: containerd would try https first`;
      reader.source.add({ code: 'tls-on-http', severity: 'warning', at, message, edit: secured });
    }
  }
  for (const [host, { entry }] of configs) {
    // With too many of them nothing is compared any more.
    if (reader.source.isFull) return;
    if (host === '*' || hosts.has(host)) continue;
    const near = nearestHost(host, [...hosts]);
    const hint =
      near === undefined
        ? 'it is used only for images whose name begins with it'
        : `meant is ${near}`;
    reader.source.add({
      code: 'unused-config',
      severity: 'warning',
      at: reader.at(entry.keyNode),
      message: `${reader.nameOf(entry) ?? 'this'} is neither an endpoint nor a registry under mirrors; ${hint}`,
      edit: near === undefined ? undefined : reader.replaceQuoted(entry.keyNode, near),
    });
  }
}

/** The host that is the same but for its port, or nearly so. */
function nearestHost(host: string, hosts: readonly string[]): string | undefined {
  const bare = (text: string): string => text.replace(/:\d+$/, '');
  return (
    hosts.find((other) => other !== '*' && bare(other) === bare(host)) ??
    hosts.find((other) => other.length < 64 && host.length < 64 && editDistance(other, host) <= 2)
  );
}
