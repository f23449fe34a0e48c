import { resolve } from 'node:path';

import { parseContainerdVersion } from '../../hosts/containerd-version.ts';
import { contentFolder } from '../containerd/effective-config.ts';
import type { Facts } from '../facts.ts';
import { textAt } from '../json.ts';
import { failure, ok, skipped, warning, type CheckResult } from '../report.ts';
import type { Check } from '../run-checks.ts';

const GROUP = "containerd's configuration";

/** Checks of containerd's config.toml. */
export const CONFIG_CHECKS: readonly Check<Facts>[] = [
  { id: 'config-path', group: GROUP, run: configPath },
  { id: 'discard-unpacked-layers', group: GROUP, run: discardUnpackedLayers },
  { id: 'snapshotter', group: GROUP, run: snapshotter },
  { id: 'content-path', group: GROUP, run: contentPath },
];

/** Returns the section of config.toml for images of the CRI, by the version of containerd. */
async function imagesSection(facts: Facts): Promise<string> {
  const [major = 2] = parseContainerdVersion(await facts.version()) ?? [];
  return major >= 2 ? 'io.containerd.cri.v1.images' : 'io.containerd.grpc.v1.cri';
}

async function configPath(facts: Facts): Promise<CheckResult> {
  const { configPath: path, file } = await facts.config();
  const remedy = `in ${file}:\n[plugins."${await imagesSection(facts)}".registry]\n  config_path = "${facts.certsFolder}"\nthen systemctl restart containerd`;
  if (path === '') {
    return failure(
      'config_path is not set, so containerd reads no hosts.toml and never asks the mirror',
      remedy,
    );
  }
  if (path.includes(':')) {
    const [major = 2] = parseContainerdVersion(await facts.version()) ?? [];
    const reason = `config_path names several folders, "${path}"`;
    return major >= 2
      ? failure(
          `${reason}; containerd 2.1 and later takes them as one folder that does not exist, and ignores every hosts.toml`,
          remedy,
        )
      : warning(`${reason}; containerd 2.1 and later ignores every hosts.toml then`, remedy);
  }
  if (resolve(path) !== resolve(facts.certsFolder)) {
    return failure(
      `config_path is ${path}, and the mirror is configured in ${facts.certsFolder}`,
      `${remedy}\nor: --containerd-registry-config-path ${path}`,
    );
  }
  return ok(`containerd reads the hosts.toml files in ${path}`);
}

async function discardUnpackedLayers(facts: Facts): Promise<CheckResult> {
  const { discardUnpackedLayers: discards, file } = await facts.config();
  if (!discards) return ok('containerd keeps layers after unpacking them');
  const section = await imagesSection(facts);
  const table = section.includes('grpc') ? `"${section}".containerd` : `"${section}"`;
  return failure(
    'discard_unpacked_layers is true: containerd throws layers away once they are unpacked, and there is nothing to share',
    `in ${file}:\n[plugins.${table}]\n  discard_unpacked_layers = false\nthen systemctl restart containerd, and pull the images again`,
  );
}

/** Snapshotters for which containerd downloads whole layers. */
const LOCAL_SNAPSHOTTERS: ReadonlySet<string> = new Set([
  'aufs',
  'blockfile',
  'btrfs',
  'devmapper',
  'erofs',
  'fuse-overlayfs',
  'native',
  'overlayfs',
  'zfs',
]);

async function snapshotter(facts: Facts): Promise<CheckResult> {
  const { snapshotter: name, file } = await facts.config();
  if (name === '') return skipped('containerd does not report its snapshotter');
  if (LOCAL_SNAPSHOTTERS.has(name)) return ok(`${name} keeps whole layers`);
  return warning(
    `the snapshotter ${name} is not one of containerd's own: remote snapshotters (stargz, soci, nydus, overlaybd) fetch parts of layers from the registry and not from the mirror, and the rest of those layers cannot be shared`,
    `in ${file}: snapshotter = "overlayfs"\nor keep it; its images then come from the registry`,
  );
}

async function contentPath(facts: Facts): Promise<CheckResult> {
  const real = contentFolder(await facts.cri());
  const used = textAt(await facts.status(), 'settings', 'contentPath');
  if (real === undefined || used === undefined) {
    return skipped('containerd or the agent does not report its content folder');
  }
  if (resolve(real) === resolve(used)) return ok(`the agent reads blobs from ${used}`);
  return warning(
    `the agent looks for blobs in ${used}, and containerd has them in ${real}; unless both are the same folder, all bytes go through containerd's socket, which is slow`,
    `peerglass registry --containerd-content-path ${real}`,
  );
}
