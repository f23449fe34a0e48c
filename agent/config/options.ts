import { MIRROR_OPTIONS } from './hosts-options.ts';
import { option, type OptionValues } from './option.ts';
import { SHARED_BY_REGISTRIES } from './registries-options.ts';
import { VALUE, choice } from './values.ts';

export { environmentName, type OptionTable, type OptionValues } from './option.ts';

/** Options that every subcommand takes. */
export const COMMON_OPTIONS = {
  'log-level': option({
    kind: choice('ERROR', 'WARN', 'INFO', 'DEBUG'),
    fallback: 'INFO',
    summary: 'least severe messages to log',
    details: 'docs/ARCHITECTURE.md, "What is logged", says what each level means.',
    spegel: true,
  }),
} as const;

/** Options of `registry`, the agent itself. */
export const REGISTRY_OPTIONS = {
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
  'containerd-sock': option({
    kind: VALUE.path,
    fallback: '/run/containerd/containerd.sock',
    summary: "containerd's socket",
    details:
      'k3s and RKE2: `/run/k3s/containerd/containerd.sock`. Waited for when it is not there yet.',
    spegel: true,
  }),
  'containerd-namespace': option({
    kind: VALUE.text,
    fallback: 'k8s.io',
    summary: 'containerd namespace to share',
    details: 'Kubernetes keeps its images in `k8s.io`; others are neither served nor advertised.',
    spegel: true,
  }),
  'containerd-content-path': option({
    kind: VALUE.path,
    fallback: '/var/lib/containerd/io.containerd.content.v1.content',
    summary: "containerd's content folder",
    details:
      'Blobs are read from here, which is many times faster than through the socket. When it cannot be read, bytes come through the socket.',
    spegel: true,
  }),
  'oci-layout': option({
    kind: VALUE.folder,
    fallback: '',
    summary: 'share this OCI image layout instead',
    details:
      'A folder with `index.json` and `blobs/`; watched for changes. containerd is then not asked.',
    spegel: false,
  }),
  'data-dir': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'keep the identity of this node here',
    details:
      'An ed25519 key, `private.key`, and `verdicts`, what is known of blobs that had to be read to be known. Without it every start makes a new identity.',
    spegel: true,
  }),
  'bootstrap-kind': option({
    kind: choice('dns', 'http', 'static'),
    fallback: 'static',
    summary: 'how the first peers are found',
    spegel: true,
  }),
  'dns-bootstrap-domain': option({
    kind: VALUE.text,
    fallback: '',
    summary: 'dns: name of the headless Service',
    details: 'All its A and AAAA records are dialled, at the port of `--router-addr`.',
    spegel: true,
  }),
  'http-bootstrap-addr': option({
    kind: VALUE.optionalAddress,
    fallback: '',
    summary: 'http: where this node serves /id',
    spegel: true,
  }),
  'http-bootstrap-peer': option({
    kind: VALUE.url,
    fallback: '',
    summary: 'http: base URL of a peer that serves /id',
    spegel: true,
  }),
  'static-bootstrap-peers': option({
    kind: VALUE.multiaddrs,
    fallback: '',
    summary: 'static: addresses of peers',
    details: 'With or without `/p2p/ID`. Empty: this node waits to be dialled.',
    spegel: true,
  }),
  'record-refresh': option({
    kind: VALUE.interval,
    fallback: '15m',
    summary: 'how often records are placed anew',
    details:
      'The cost of the directory is in proportion to it. Changes do not wait for it: what is new is placed and what is gone is withdrawn at once, and a node that joins is given the records it is to keep.',
    spegel: false,
  }),
  'record-validity': option({
    kind: VALUE.interval,
    fallback: '19m',
    summary: 'how long records are believed',
    details:
      'After they were last placed; must be longer than `--record-refresh`, by as much as a refresh may be late. It is what ends the records of nodes that went without a word.',
    spegel: false,
  }),
  'mirror-resolve-timeout': option({
    kind: VALUE.duration,
    fallback: '20ms',
    summary: 'how long the directory may take',
    details:
      'The first wait for the next provider of a content. A wait that ends without one is followed by one three times as long, `--mirror-resolve-retries` times while the directory is still asking: 20, 60, 180 and 540 ms by default, for a cluster that is so busy that its answers are late. When everybody responsible has answered the miss is told at once. Raise it on slow links between nodes.',
    spegel: true,
  }),
  'mirror-resolve-retries': option({
    kind: VALUE.count,
    fallback: '3',
    summary: 'waits and failed peers to go on after',
    details: 'Providers that turn out not to hold the content are not counted.',
    spegel: true,
  }),
  'registry-filters': option({
    kind: VALUE.regexes,
    fallback: '',
    summary: 'leave out images that match',
    details:
      'Regular expressions on `registry/repository` and `registry/repository:tag`. A match on the name leaves out the image; a match that needs the tag (`:dev$`) leaves out the tag, and by digest the content is shared.',
    spegel: true,
  }),
  'mirrored-registries': option({
    kind: VALUE.registries,
    fallback: '',
    summary: 'share only these; none: all',
    details: 'As URL or host: `https://docker.io`, `ghcr.io`, `10.0.0.9:5000`.',
    spegel: true,
  }),
  ...SHARED_BY_REGISTRIES,
  configure: option({
    kind: VALUE.boolean,
    fallback: 'false',
    summary: 'configure containerd, and keep it so',
    details:
      'As the subcommand `configuration`, once the mirror listens, and again when somebody rewrites the files, as k3s does at each start.',
    spegel: false,
  }),
  'configure-remove-on-exit': option({
    kind: VALUE.boolean,
    fallback: 'false',
    summary: 'give containerd its files back at the end',
    details: 'As the subcommand `cleanup`, before the mirror stops to listen.',
    spegel: false,
  }),
  ...MIRROR_OPTIONS,
  'enable-latest': option({
    kind: VALUE.boolean,
    fallback: 'false',
    summary: 'share images tagged latest',
    details:
      'The tag moves, and a mirror would pin each node to what its neighbours happen to have. By digest such images are shared in any case.',
    spegel: false,
    env: 'K3S_P2P_ENABLE_LATEST',
  }),
  'debug-web-enabled': option({
    kind: VALUE.boolean,
    fallback: 'true',
    summary: 'serve /debug/status at --metrics-addr',
    spegel: true,
  }),
  'peer-timeout': option({
    kind: VALUE.duration,
    fallback: '1s',
    summary: 'for a peer to begin its answer',
    details:
      'That is what a peer has that was silent the last time. Others are asked beside one that is late, and a peer that nothing is known against has up to 2.5 s; half of it is allowed for connecting.',
    spegel: false,
  }),
  'stall-timeout': option({
    kind: VALUE.duration,
    fallback: '5s',
    summary: 'without a byte, a peer counts as gone',
    details: 'The body then goes on from another peer. containerd itself waits minutes.',
    spegel: false,
  }),
  'hold-back-size': option({
    kind: VALUE.memory,
    fallback: '4MiB',
    summary: 'blobs up to this size are verified first',
    details:
      'So they are right at the first try, whoever sends them; larger ones are passed on at once, and the client verifies them. Manifests are always verified first.',
    spegel: false,
  }),
  'hold-back-memory': option({
    kind: VALUE.memory,
    fallback: '64MiB',
    summary: 'memory for blobs that are being verified',
    details:
      'Whatever does not find room waits. At least `--hold-back-size`; up to 16 MiB come on top for manifests and configs.',
    spegel: false,
  }),
  'data-plane': option({
    kind: choice('auto', 'stream'),
    fallback: 'auto',
    summary: 'how the bytes of large blobs go',
    details:
      'auto: from the file or the peer to the client within the kernel (sendfile, splice), where that is possible: on Linux, without TLS. stream: always through the process, which takes more CPU.',
    spegel: false,
  }),
  zone: option({
    kind: VALUE.zone,
    fallback: '',
    summary: 'failure domain of this node',
    details:
      'As in the label `topology.kubernetes.io/zone` of the node. Peers of the same zone are asked first. A node tells its zone in every answer to a peer; until its first answer a peer ranks between the near and the far.',
    spegel: false,
  }),
  'max-uploads': option({
    kind: VALUE.count,
    fallback: '512',
    summary: 'blobs sent to peers at once; 0: no bound',
    details:
      'A peer that comes beyond it is told 503 at once, with other holders that are known here, and goes elsewhere. The containerd of this node is never refused. With `--upload-limit` no more than one for every 512 KiB a second, so that none is given up as too slow.',
    spegel: false,
  }),
  'max-uploads-per-blob': option({
    kind: VALUE.count,
    fallback: '256',
    summary: 'the same, of one blob',
    details:
      'A lower bound makes a fresh image spread like a tree: the first to get a blob have it soon, and then serve the others, who ask again for up to 2.5 s before they go upstream.',
    spegel: false,
  }),
  'upload-limit': option({
    kind: VALUE.rate,
    fallback: '',
    summary: 'bytes a second sent to peers',
    details:
      'Of the whole node, as `10MiB`; at least 1 MiB, empty or 0 for no limit. Shared evenly; manifests pass at once and are counted. What goes to the containerd of this node is not limited.',
    spegel: false,
  }),
  'download-limit': option({
    kind: VALUE.rate,
    fallback: '',
    summary: 'bytes a second taken from peers',
    details: 'The same for what comes from peers; content of up to 4 MiB passes at once.',
    spegel: false,
  }),
  'compare-interval': option({
    kind: VALUE.interval,
    fallback: '5m',
    summary: 'between full comparisons with the store',
    details: 'Changes are followed as they happen; the comparison repairs what was missed.',
    spegel: false,
  }),
  'scrub-rate': option({
    kind: VALUE.size,
    fallback: '10MiB',
    summary: 'bytes a second to verify anew',
    details:
      'Disks lie, and whoever gets wrong bytes loses a pull. With 0 nothing is verified before somebody asks for it, and then only what containerd does not vouch for.',
    spegel: false,
  }),
  'scrub-interval': option({
    kind: VALUE.interval,
    fallback: '168h',
    summary: 'after which a blob is verified anew',
    details: 'Each blob is read once in this time, as far as `--scrub-rate` goes.',
    spegel: false,
  }),
  'shutdown-delay': option({
    kind: VALUE.durationOrZero,
    fallback: '0s',
    summary: 'take requests for so long after SIGTERM',
    details:
      'Not ready at once, but still serving, until everybody has heard of it who leads requests here. The chart has `3s`: so long a Service, and with it the node port, may still lead to a pod that ends.',
    spegel: false,
  }),
  'shutdown-timeout': option({
    kind: VALUE.durationOrZero,
    fallback: '20s',
    summary: 'for requests in flight at SIGTERM',
    details:
      'Counted from the end of `--shutdown-delay`. Keep both together below `terminationGracePeriodSeconds` (30 s).',
    spegel: false,
  }),
} as const;

/** Values of `registry`. */
export type RegistryConfig = OptionValues<typeof REGISTRY_OPTIONS> &
  OptionValues<typeof COMMON_OPTIONS>;

/** Options of `version`. */
export const VERSION_OPTIONS = {
  format: option({
    kind: choice('text', 'json'),
    fallback: 'text',
    summary: 'how to print it',
    spegel: true,
  }),
} as const;
