import { option } from './option.ts';
import { VALUE, choice } from './values.ts';

/** Options of the listeners of an agent. */
export const LISTENER_OPTIONS = {
  'registry-addr': option({
    kind: VALUE.address,
    fallback: ':5000',
    summary: 'where the mirror listens for peers',
    details:
      'The agents of all other nodes must reach it. Without `--mirror-addr` the containerd of this node asks here as well.',
    spegel: true,
  }),
  'mirror-addr': option({
    kind: VALUE.optionalAddress,
    fallback: '',
    summary: 'where it listens for this node only',
    details:
      'A listener for the containerd of this node, `127.0.0.1:5002` for example, with connections of its own: others cannot take them, and no request here counts against `--max-uploads`. `registry --configure` then names it in hosts.toml. It is the same mirror, with the same certificate. Default: none.',
    spegel: false,
  }),
  'mirror-clients': option({
    kind: choice('node', 'any'),
    fallback: 'node',
    summary: 'who is served at --mirror-addr',
    details:
      '`node`: clients on this node, by their address (`--node-ip`); the connections of others are closed. `any`: others too, as a NodePort needs it. Images are then for each host that reaches the port, within the bounds `--max-uploads` and `--upload-limit`.',
    spegel: false,
  }),
  'node-ip': option({
    kind: VALUE.ips,
    fallback: '',
    summary: 'IPs of the node, for an agent in a pod',
    details:
      'With them the agent knows the containerd of its node, for which it keeps connections, and to which no bound on uploads applies. Others are refused at `--mirror-addr`. The chart sets the variable. Where the pod network gives containerd another address, the log of the agent has it; add it here. An agent in the network of the node needs none.',
    spegel: false,
  }),
  'registry-tls': option({
    kind: choice('files', 'auto'),
    fallback: 'files',
    summary: 'where certificates for TLS between agents come from',
    details:
      'files: from `--registry-tls-cert` and the options below, for containerd too; no TLS without them. auto: each agent makes one from its libp2p identity, and asks peers only whose certificate is of the identity that it looked for; no authority is needed. It is for peers: containerd is served without TLS at `--mirror-addr`, which auto needs.',
    spegel: false,
  }),
  'registry-tls-cert': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'TLS certificate of the mirror',
    details:
      'PEM: the certificate of this node, then the intermediate certificates. With it and `--registry-tls-key` the mirror speaks HTTP/2 and HTTP/1.1 by TLS only, announces that to its peers, and uses the certificate as client certificate where a peer requires one, unless `--registry-tls-client-cert` names another. For containerd the certificate must have the address in hosts.toml (`127.0.0.1`) as a name. All files of certificates are read again every ten seconds: renewed files are used without a restart, and invalid files leave the earlier ones in use.',
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
      'require: peers and containerd (`client` in hosts.toml) need a certificate from `--registry-tls-client-ca`, or from `--registry-tls-ca` without it.',
    spegel: false,
  }),
  'registry-tls-client-ca': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'authorities for certificates of clients',
    details:
      'PEM. For clusters whose clients and servers have different authorities, as those of k3s: client certificates must come from one of these, and certificates of peers from `--registry-tls-ca`. Default: `--registry-tls-ca` for both.',
    spegel: false,
  }),
  'registry-tls-client-cert': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'certificate that is shown to peers',
    details:
      'PEM, for peers that require a client certificate; for clusters where a node has two certificates, one to serve with and one to show. `registry --configure` gives it to containerd where this mirror requires one. Default: `--registry-tls-cert`.',
    spegel: false,
  }),
  'registry-tls-client-key': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'private key of that client certificate',
    details: 'PEM, not encrypted.',
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
  'debug-clients': option({
    kind: choice('loopback', 'node', 'any'),
    fallback: 'loopback',
    summary: 'who may read /debug/ there',
    details:
      '`loopback`: clients on the host, or in the pod, as `kubectl port-forward` is. `node`: also those that `--node-ip` recognises as on this node; the chart sets it, for `helm test`. `any`: each host that reaches the port. Others get 404. `/metrics`, `/livez` and `/readyz` are for all.',
    spegel: false,
  }),
} as const;
