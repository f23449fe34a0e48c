import type { HostOptions } from '../hosts/hosts-toml.ts';
import { mirrorPositions } from './certs-folder.ts';
import type { Facts } from './facts.ts';

/** The headers of a host in hosts.toml in the form of a request. They may be credentials: not for any output. */
export function headersOf(header: NonNullable<HostOptions['header']>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(header).map(([name, values]) => [name, values.join(', ')]),
  );
}

/** What containerd sends to the mirror of this node, by the first hosts.toml that names the mirror; nothing without one. */
export async function mirrorHeaders(facts: Facts): Promise<Readonly<Record<string, string>>> {
  const files = await facts.files().catch(() => []);
  const mark = await facts.mirrorMark();
  for (const file of files) {
    for (const position of mirrorPositions(file, mark)) {
      const header = file.hosts?.hosts[position]?.header;
      if (header !== undefined) return headersOf(header);
    }
  }
  return {};
}
