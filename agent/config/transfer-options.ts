import { option } from './option.ts';
import { VALUE, choice } from './values.ts';

/** Options of the transfer of content between nodes, and of its limits. */
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
    summary: 'time without a byte until a body stalls',
    details: 'The body then resumes from another peer. containerd itself waits for minutes.',
    spegel: false,
  }),
  'hold-back-size': option({
    kind: VALUE.memory,
    fallback: '4MiB',
    summary: 'verify blobs up to this size first',
    details:
      'Such a blob is forwarded only after it was received whole and verified, so that a peer with wrong bytes costs the client nothing. The client has the first byte, or 404, within 10 s, or within the time of one such blob at 512 KiB a second. Larger blobs are forwarded as they arrive, and the client verifies them; so are blobs of more than 512 KiB that the peer itself is still receiving, and blobs that take longer than a second at the rate at which peers have delivered lately. Manifests are always verified first.',
    spegel: false,
  }),
  'hold-back-memory': option({
    kind: VALUE.memory,
    fallback: '64MiB',
    summary: 'memory for blobs that are verified first',
    details:
      'A blob has its memory until the client has read it. The blobs of one image, or of one peer, get as much as they leave free. Further blobs wait for memory in bounded time; meanwhile the agent ends the body of a client that reads less than 512 KiB a second, and that client asks again. At least `--hold-back-size`; manifests and configs may use 16 MiB more.',
    spegel: false,
  }),
  'data-plane': option({
    kind: choice('auto', 'stream'),
    fallback: 'auto',
    summary: 'how the bytes of large blobs are moved',
    details:
      'auto: within the kernel (sendfile, splice), from the file or the peer to the client, where that is possible: on Linux, without TLS. stream: always through the process, which takes more CPU.',
    spegel: false,
  }),
  zone: option({
    kind: VALUE.zone,
    fallback: '',
    summary: 'failure domain of this node',
    details:
      'As in the label `topology.kubernetes.io/zone` of the node. Peers of the same zone are asked first. A node sends its zone with every answer to a peer; a peer without an answer yet ranks between those of the same zone and the others.',
    spegel: false,
  }),
  'max-uploads': option({
    kind: VALUE.count,
    fallback: '512',
    summary: 'blobs sent to others at once; 0: no bound',
    details:
      'A peer beyond it gets 503 at once, with other holders that this node knows, and asks one of those. Another client waits 2 s first. One address has two thirds at most. The containerd of this node is never refused. With `--upload-limit` there is at most one upload for each 512 KiB a second of it, so that no upload is aborted as too slow.',
    spegel: false,
  }),
  'max-uploads-per-blob': option({
    kind: VALUE.count,
    fallback: '256',
    summary: 'the same, of one blob',
    details:
      'A lower bound makes a fresh image spread like a tree: the first nodes have a blob soon and then serve the others, which ask again for up to 2.5 s before they go upstream.',
    spegel: false,
  }),
  'upload-limit': option({
    kind: VALUE.rate,
    fallback: '',
    summary: 'bytes a second sent to others',
    details:
      'For the whole node, as `10MiB`; at least 1 MiB, empty or 0 for no limit. It is shared evenly. Manifests do not wait, but count. Bytes for the containerd of this node are not limited.',
    spegel: false,
  }),
  'download-limit': option({
    kind: VALUE.rate,
    fallback: '',
    summary: 'bytes a second taken from peers',
    details: 'For the whole node, like `--upload-limit`. Content of up to 4 MiB does not wait.',
    spegel: false,
  }),
} as const;
