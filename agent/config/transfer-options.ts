import { option } from './option.ts';
import { VALUE, choice } from './values.ts';

/** How bytes go from node to node, and what they may cost. */
export const TRANSFER_OPTIONS = {
  'peer-timeout': option({
    kind: VALUE.duration,
    fallback: '1s',
    summary: 'for a peer that was silent before to begin its answer',
    details:
      'It is divided by four for each further silence in a row, down to 200 ms. All other peers have the 2.5 s of the whole request: when one is late, other peers are asked as well. Half of this option is the time to connect, for every peer.',
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
      'Until the client has taken them. Whatever does not find room waits, and a client that takes less than 512 KiB a second is then made to ask again. At least `--hold-back-size`; up to 16 MiB come on top for manifests and configs.',
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
} as const;
