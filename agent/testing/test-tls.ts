import { setDefaultCACertificates } from 'node:tls';

import { Agent, setGlobalDispatcher } from 'undici';

import type { ListenerTls } from '../http/tls-server.ts';
import type { PeerTls } from '../transfer/client/peer-agents.ts';
import type { TlsSource } from '../tls/tls-keeper.ts';
import type { TlsMaterial } from '../tls/tls-material.ts';
import { Authority } from './certificates.ts';

/** Milliseconds for a handshake of a test's client. */
const HANDSHAKE_MS = 60_000;

/**
 * TLS for the mirrors and peers of the tests, by `PEERGLASS_TEST_TLS`: `https` for TLS with HTTP/1.1 clients, `h2` for
 * TLS with HTTP/2 clients. `undefined`, the default, is plain HTTP.
 */
export const testTls: (ListenerTls & PeerTls & { readonly material: TlsMaterial }) | undefined =
  await make(process.env['PEERGLASS_TEST_TLS']);

async function make(protocol: string | undefined): Promise<typeof testTls> {
  if (protocol === undefined) return undefined;
  await using authority = await Authority.create();
  const material = await authority.material('node');
  const ca = (await authority.read('ca.crt')).toString();
  setDefaultCACertificates([ca]);
  // Hundreds of handshakes at the same time, with both ends in one process, are slow.
  const connect = { ca, timeout: HANDSHAKE_MS };
  setGlobalDispatcher(new Agent({ connect, allowH2: protocol === 'h2' }));
  return { material, source: fixedSource(material), clientAuth: 'none', serverName: '' };
}

/** Certificates that are never renewed. */
export function fixedSource(current: TlsMaterial): TlsSource {
  return { current, onChange: () => undefined };
}
