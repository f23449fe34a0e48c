import type { ContainerdRelease } from './containerd-versions.ts';

/** The differences between the daemons of the nodes. */
export interface ContainerdConfigInit {
  readonly release: ContainerdRelease;
  /** Folder for all files of the daemon. Its path must be short, because sockets are in it. */
  readonly directory: string;
  /** Folder of hosts.toml files (`certs.d`). */
  readonly configPath: string;
  /** The root as the daemon sees it, when that is another path than in {@link containerdPaths}. */
  readonly root?: string;
  /**
   * Bytes that each of the parallel requests for a layer is read for (from containerd 2.1); 0, the default,
   * is off.
   */
  readonly fetchBufferBytes?: number | undefined;
  /** Parallel requests, when that is on. Default 8. */
  readonly fetchStreams?: number | undefined;
}

/** What holds a pod's namespaces open: made by pause-image.ts, and imported before the first pod. */
export const PAUSE_IMAGE = 'registry.example.test/pause:1';

/** Where Debian's containernetworking-plugins has them. */
const CNI_PLUGINS = '/usr/lib/cni';

/** Paths that follow from the folder. */
export function containerdPaths(directory: string): {
  readonly socket: string;
  readonly root: string;
  readonly content: string;
} {
  const root = `${directory}/root`;
  return {
    socket: `${directory}/run/containerd.sock`,
    root,
    content: `${root}/io.containerd.content.v1.content`,
  };
}

/** `config.toml` of a daemon that shares nothing with another one on the same machine. */
export function containerdConfig(init: ContainerdConfigInit): string {
  const { directory } = init;
  const paths = containerdPaths(directory);
  return `version = ${init.release.isV2 ? 3 : 2}
root = "${init.root ?? paths.root}"
state = "${directory}/state"
# Device-backed snapshotters look for hardware at start-up, and NRI has one socket for the whole machine.
disabled_plugins = [
  "io.containerd.nri.v1.nri",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.blockfile",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.erofs",
  "io.containerd.snapshotter.v1.zfs",
]

[grpc]
  address = "${paths.socket}"
[ttrpc]
  address = "${directory}/t.sock"

[plugins."io.containerd.internal.v1.opt"]
  path = "${directory}/opt"

${init.release.isV2 ? criVersion3(init) : criVersion2(init)}`;
}

function criVersion2({ directory, configPath }: ContainerdConfigInit): string {
  const cri = 'plugins."io.containerd.grpc.v1.cri"';
  return `[${cri}]
  stream_server_address = "127.0.0.1"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  sandbox_image = "${PAUSE_IMAGE}"
[${cri}.containerd]
  snapshotter = "overlayfs"
${runtime(cri, directory)}[${cri}.registry]
  config_path = "${configPath}"
[${cri}.cni]
  bin_dir = "${CNI_PLUGINS}"
  conf_dir = "${directory}/cni"
`;
}

function criVersion3(init: ContainerdConfigInit): string {
  const { directory, configPath, fetchBufferBytes = 0, fetchStreams = 8 } = init;
  // The transfer service fetches for both CRI and ctr, and reads the key in its own section.
  const parallel = `  concurrent_layer_fetch_buffer = ${fetchBufferBytes}
  max_concurrent_downloads = ${fetchBufferBytes > 0 ? fetchStreams : 3}`;
  return `[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
${parallel}
[plugins."io.containerd.cri.v1.images".registry]
  config_path = "${configPath}"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "${PAUSE_IMAGE}"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
${runtime('plugins."io.containerd.cri.v1.runtime"', directory)}[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dir = "${CNI_PLUGINS}"
  conf_dir = "${directory}/cni"
[plugins."io.containerd.grpc.v1.cri"]
  stream_server_address = "127.0.0.1"
[plugins."io.containerd.transfer.v1.local"]
${parallel}
  config_path = "${configPath}"
`;
}

/** runc with its state in the daemon's folder: by default all daemons of the machine share one. */
function runtime(section: string, directory: string): string {
  return `[${section}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[${section}.containerd.runtimes.runc.options]
  Root = "${directory}/runc"
`;
}
