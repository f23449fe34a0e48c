/** An address cannot be listened on. The message names it, the reason, and what to do. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
  readonly code = 'ERR_LISTEN';
}

/**
 * Makes the error for an address that cannot be listened on.
 *
 * @param option name of the option that the address came from
 * @param code of the system's error: `EADDRINUSE`, `EACCES`, ...
 */
export function listenError(
  option: string,
  address: string,
  code: string,
  cause: unknown,
): ListenError {
  const port = address.slice(address.lastIndexOf(':') + 1);
  const reasons: Record<string, string> = {
    EADDRINUSE: `port in use; see who holds it (ss -ltnp 'sport = :${port}') or choose another`,
    EACCES: 'not permitted; choose a port above 1023',
    EADDRNOTAVAIL: 'not an address of this host; name one of it, or :PORT for all',
    ENOTFOUND: 'no such host name; name an IP address of this host, or :PORT for all',
    EAI_AGAIN: 'the host name cannot be looked up now; name an IP address of this host',
  };
  // With --embedded-registry k3s runs its own DHT node on this port.
  const k3s = code === 'EADDRINUSE' && port === '5001' ? "; k3s' embedded mirror has it too" : '';
  return new ListenError(`${option} ${address}: ${reasons[code] ?? code}${k3s}`, { cause });
}
