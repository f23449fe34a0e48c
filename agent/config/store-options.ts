import { option } from './option.ts';
import { VALUE } from './values.ts';

/** What the node holds: where it is, and how it is kept right. */
export const STORE_OPTIONS = {
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
  'data-dir': option({
    kind: VALUE.path,
    fallback: '',
    summary: 'keep the identity of this node here',
    details:
      'An ed25519 key, `private.key`, and `verdicts`, what is known of blobs that had to be read to be known. Without it every start makes a new identity.',
    spegel: true,
  }),
} as const;
