import { option } from './option.ts';
import { VALUE, choice } from './values.ts';

/** Options of the download of a fresh image by one node for all. */
export const FAN_OUT_OPTIONS = {
  'fan-out': option({
    kind: VALUE.boolean,
    fallback: 'true',
    summary: 'one node downloads, the others follow',
    details:
      'When several nodes want content at once that no node holds, one of them goes upstream, and the others receive it from each other while it arrives. `false`: this node neither asks who goes upstream nor is followed, and each node downloads for itself. Nodes of both kinds work together.',
    spegel: false,
  }),
  'upstream-fetchers': option({
    kind: choice('1', '2', '3', 'zone'),
    fallback: '1',
    summary: 'nodes that download one blob at once',
    details:
      '`zone`: one of each `--zone`, where the nodes name theirs: each zone pays for one download, and none for traffic between zones. The nodes of a cluster need the same value: the one of the node counts that is closest to the digest.',
    spegel: false,
  }),
  'follow-timeout': option({
    kind: VALUE.duration,
    fallback: '10s',
    summary: 'how long a node waits for another to begin',
    details:
      'For content whose download has begun at another node and has not given a byte yet, or that a node sends only when it is verified (`--hold-back-size`). After that the node goes upstream itself.',
    spegel: false,
  }),
} as const;
