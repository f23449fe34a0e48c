import { option } from './option.ts';
import { VALUE, choice } from './values.ts';

/** Where an agent listens, and how. */
export const LISTENER_OPTIONS = {
  'registry-addr': option({
    kind: VALUE.address,
    fallback: ':5000',
    summary: 'where the mirror listens',
    details: 'containerd of this node and the agents of all others must reach it.',
    spegel: true,
  }),
  'registry-tls-cert': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'serve the mirror by TLS, with this',
    details:
      'PEM: the certificate of this node, then those between it and the authority. With it and `--registry-tls-key` the mirror speaks HTTP/2 and HTTP/1.1 by TLS only, tells its peers so, and shows the certificate where a peer asks for one. containerd needs the address that hosts.toml names (`127.0.0.1`) among the names of the certificate. All three files are read again every ten seconds: renewed ones are used without a restart, and bad ones leave those before in place.',
    spegel: false,
  }),
  'registry-tls-key': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'the private key of that certificate',
    details: 'PEM, not encrypted.',
    spegel: false,
  }),
  'registry-tls-ca': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'authorities to check peers against',
    details:
      'PEM. Certificates of peers, and of clients where they have to show one, must come from one of these. Without it those of peers are checked against the public authorities when this node has a certificate, and not at all when it has none: such a node takes what any peer says by http, too.',
    spegel: false,
  }),
  'registry-tls-client-auth': option({
    kind: choice('none', 'require'),
    fallback: 'none',
    summary: 'whether clients must show a certificate',
    details:
      'require: peers and containerd (`client` in hosts.toml) alike need one that `--registry-tls-ca` vouches for.',
    spegel: false,
  }),
  'registry-tls-server-name': option({
    kind: VALUE.text,
    fallback: '',
    summary: 'name in the certificates of peers',
    details:
      'Peers are reached by IP. Their certificate must be for that IP, or for this name; when it is empty, for one of the DNS names of our own certificate: one certificate for all nodes needs no further word.',
    spegel: false,
  }),
  'registry-tls-peers-only': option({
    kind: VALUE.boolean,
    fallback: 'false',
    summary: 'ask no peer that has no TLS',
    details:
      'Turn it on once every node of the cluster has TLS. Until then nodes with and without serve each other.',
    spegel: false,
  }),
  'router-addr': option({
    kind: VALUE.address,
    fallback: ':5001',
    summary: 'where the directory listens for peers',
    details:
      'TCP, IPv4 and IPv6. When it is not set, `K3S_P2P_PORT` changes the port, as it does for the mirror embedded in k3s, which claims the same one.',
    spegel: true,
  }),
  'metrics-addr': option({
    kind: VALUE.address,
    fallback: ':9090',
    summary: 'where /metrics, /readyz and /livez are',
    spegel: true,
  }),
  'debug-web-enabled': option({
    kind: VALUE.boolean,
    fallback: 'true',
    summary: 'serve /debug/status at --metrics-addr',
    spegel: true,
  }),
} as const;
