import type { Capability, HostEntry, HostOptions, HostsFile } from './hosts-toml.ts';

/** Renders a `hosts.toml` in the form that every containerd reads and that Spegel writes. */
export function renderHostsToml({ server, serverOptions, hosts }: HostsFile): string {
  const top = [
    ...(server === undefined ? [] : [`server = ${renderString(server)}\n`]),
    ...renderOptions(serverOptions?.capabilities, serverOptions ?? {}),
  ].join('');
  return [...(top === '' ? [] : [top]), ...hosts.map(renderHost)].join('\n');
}

/** Renders one `[host.'URL']` table. It includes the headers, so that the order of the tables is that of the hosts. */
export function renderHost(host: HostEntry): string {
  return [`[host.${renderString(host.url)}]\n`, ...renderOptions(host.capabilities, host)].join('');
}

function renderOptions(
  capabilities: readonly Capability[] | undefined,
  { ca, client, skipVerify, header, dialTimeout, overridePath }: HostOptions,
): string[] {
  const list = (items: readonly string[]): string => `[${items.map(renderString).join(', ')}]`;
  const pairs = (items: NonNullable<HostOptions['client']>): string =>
    `[${items.map(([certificate, key = '']) => list([certificate, key])).join(', ')}]`;
  const table = (items: NonNullable<HostOptions['header']>): string =>
    `{ ${Object.entries(items)
      .map(([name, values]) => `${renderString(name)} = ${list(values)}`)
      .join(', ')} }`;
  const rows: [string, string | undefined][] = [
    ['capabilities', capabilities && list(capabilities)],
    ['ca', ca && list(ca)],
    ['client', client && pairs(client)],
    ['skip_verify', skipVerify?.toString()],
    ['header', header && table(header)],
    ['dial_timeout', dialTimeout && renderString(dialTimeout)],
    ['override_path', overridePath?.toString()],
  ];
  return rows.flatMap(([key, value]) => (value === undefined ? [] : [`${key} = ${value}\n`]));
}

/** Renders a literal string if it can hold the text, otherwise a basic string (TOML 1.0, "String"). */
function renderString(text: string): string {
  if (/^[^'\u0000-\u001f\u007f]*$/.test(text)) return `'${text}'`;
  return JSON.stringify(text).replaceAll('\u007f', '\\u007f');
}
