import { option } from './option.ts';
import { VALUE, choice } from './values.ts';

/** Options of the listeners of an agent. */
export const LISTENER_OPTIONS = {
  'registry-addr': option({
    kind: VALUE.address,
    fallback: ':5000',
    summary: 'where the mirror listens',
    details: 'containerd of this node and the agents of all other nodes must reach it.',
    spegel: true,
  }),
  'node-ip': option({
    kind: VALUE.ips,
    fallback: '',
    summary: 'IPs of the node, for an agent in a pod',
    details:
      'With them the agent knows the containerd of its node, for which it keeps connections, and to which no bound on uploads applies. The chart sets the variable. An agent in the network of the node needs none.',
    spegel: false,
  }),
  'registry-tls-cert': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'TLS certificate of the mirror',
    details:
      'PEM: the certificate of this node, then the intermediate certificates. With it and `--registry-tls-key` the mirror speaks HTTP/2 and HTTP/1.1 by TLS only, announces that to its peers, and uses the certificate as client certificate where a peer requires one. For containerd the certificate must have the address in hosts.toml (`127.0.0.1`) as a name. All three files are read again every ten seconds: renewed files are used without a restart, and invalid files leave the earlier ones in use.',
    spegel: false,
  }),
  'registry-tls-key': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'private key of that certificate',
    details: 'PEM, not encrypted.',
    spegel: false,
  }),
  'registry-tls-ca': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'authorities for certificates of peers',
    details:
      'PEM. Certificates of peers, and client certificates where they are required, must come from one of these authorities. Without it, a node with a certificate checks peers against the public authorities. A node without a certificate does not check them: it accepts answers of any peer by http, too.',
    spegel: false,
  }),
  'registry-tls-client-auth': option({
    kind: choice('none', 'require'),
    fallback: 'none',
    summary: 'whether clients need a certificate',
    details:
      'require: peers and containerd (`client` in hosts.toml) need a certificate from `--registry-tls-ca`.',
    spegel: false,
  }),
  'registry-tls-server-name': option({
    kind: VALUE.text,
    fallback: '',
    summary: 'name in the certificates of peers',
    details:
      'Peers are reached by IP. Their certificate must be for that IP or for this name. When empty, it may be for any DNS name of our own certificate, so that one certificate for all nodes needs no name here.',
    spegel: false,
  }),
  'registry-tls-peers-only': option({
    kind: VALUE.boolean,
    fallback: 'false',
    summary: 'ask peers with TLS only',
    details:
      'Turn it on once every node of the cluster has TLS. Until then nodes with TLS and without serve each other.',
    spegel: false,
  }),
  'router-addr': option({
    kind: VALUE.address,
    fallback: ':5001',
    summary: 'where the DHT listens for peers',
    details:
      'TCP, IPv4 and IPv6. When it is not set, `K3S_P2P_PORT` changes the port, as for the mirror embedded in k3s, which uses the same port.',
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
