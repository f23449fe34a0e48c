import { option } from './option.ts';
import { VALUE } from './values.ts';

/** Options of the content store: where it is, and how its content is verified. */
export const STORE_OPTIONS = {
  'containerd-sock': option({
    kind: VALUE.path,
    fallback: '/run/containerd/containerd.sock',
    summary: "containerd's socket",
    details:
      'k3s and RKE2: `/run/k3s/containerd/containerd.sock`. The agent waits for a socket that does not exist yet.',
    spegel: true,
  }),
  'containerd-namespace': option({
    kind: VALUE.text,
    fallback: 'k8s.io',
    summary: 'containerd namespace to share',
    details:
      'Kubernetes has its images in `k8s.io`. Images of other namespaces are neither served nor advertised.',
    spegel: true,
  }),
  'containerd-content-path': option({
    kind: VALUE.path,
    fallback: '/var/lib/containerd/io.containerd.content.v1.content',
    summary: "containerd's content folder",
    details:
      'Blobs are read from this folder, which is many times faster than through the socket. When it cannot be read, the agent reads through the socket.',
    spegel: true,
  }),
  'oci-layout': option({
    kind: VALUE.folder,
    fallback: '',
    summary: 'share this OCI image layout instead',
    details:
      'A folder with `index.json` and `blobs/`, watched for changes. It replaces containerd as the store.',
    spegel: false,
  }),
  'compare-interval': option({
    kind: VALUE.interval,
    fallback: '5m',
    summary: 'time between comparisons with the store',
    details: 'Changes are followed as they happen. The comparison finds changes that were missed.',
    spegel: false,
  }),
  'scrub-rate': option({
    kind: VALUE.size,
    fallback: '10MiB',
    summary: 'bytes a second that the scrubber reads',
    details:
      'The scrubber reads the blobs on disk again and verifies them: a disk may return wrong bytes, and a peer that gets them loses a pull. With 0 there is no scrubber: a blob is verified when it is first requested, unless containerd verified it at commit.',
    spegel: false,
  }),
  'scrub-interval': option({
    kind: VALUE.interval,
    fallback: '168h',
    summary: 'time until a blob is verified again',
    details: 'Each blob is read once in this time, within `--scrub-rate`.',
    spegel: false,
  }),
  'data-dir': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'keep the identity of this node here',
    details:
      'The folder has `private.key`, an ed25519 key, and `verdicts`, the verification results of blobs. Without it every start makes a new identity.',
    spegel: true,
  }),
} as const;
