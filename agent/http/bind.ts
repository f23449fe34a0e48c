import type { AddressInfo, Server } from 'node:net';

import { codeOf, hasCode } from '../errors/system-error.ts';
import { listenError } from './listen-error.ts';

/** Where to listen. */
export interface ListenAddress {
  /** Host or IP; empty for every address, IPv6 and IPv4. */
  readonly host: string;
  /** TCP port; 0 lets the system choose. */
  readonly port: number;
}

/**
 * Has a server listen on an address.
 *
 * @param option name of the option that the address came from, for error messages
 * @returns the port; the system has chosen it when the address has port 0
 * @throws ListenError
 */
export async function bind(
  server: Server,
  { host, port }: ListenAddress,
  option: string,
): Promise<number> {
  const explain = (error: unknown): never => {
    throw listenError(option, `${host}:${port}`, codeOf(error) ?? 'unknown reason', error);
  };
  try {
    await listen(server, host === '' ? '::' : host, port);
  } catch (error) {
    // A host without IPv6 has no `::`. Every address is then every IPv4 address.
    if (host !== '' || !hasCode(error, 'EAFNOSUPPORT', 'EADDRNOTAVAIL')) explain(error);
    await listen(server, '0.0.0.0', port).catch(explain);
  }
  return (server.address() as AddressInfo).port;
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
