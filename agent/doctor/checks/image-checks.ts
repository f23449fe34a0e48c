import { parseReference } from '../../oci/reference.ts';
import type { Facts } from '../facts.ts';
import { findMissingLayers, type ImageNames } from '../missing-layers.ts';
import { ok, warning, failure, type CheckResult } from '../report.ts';
import type { Check } from '../run-checks.ts';

const GROUP = 'images on this node';

/** Checks of the images in containerd's store. */
export const IMAGE_CHECKS: readonly Check<Facts>[] = [
  { id: 'missing-layers', group: GROUP, run: missingLayers },
  { id: 'image-namespace', group: GROUP, run: imageNamespace },
  { id: 'image-names', group: GROUP, run: imageNames },
];

async function missingLayers(facts: Facts, signal: AbortSignal): Promise<CheckResult> {
  await facts.reachable();
  const { checked, missing, all } = await findMissingLayers(facts.containerd, signal);
  const scope = checked < all ? `the first ${checked} of ${all} images` : `${all} images`;
  if (missing.length === 0) return ok(`${scope}: every image that was pulled has its layers`);
  return failure(
    `${missing.length} of ${scope} have lost layers: they run on this node, but cannot be shared`,
    `crictl rmi IMAGE && crictl pull IMAGE, once discard_unpacked_layers is false`,
    missing,
  );
}

/** Upper bound for the names in the details of a finding. */
const MAX_NAMES = 50;

/** Namespace of the kubelet's images. */
const KUBELET = 'k8s.io';

async function imageNamespace(facts: Facts, signal: AbortSignal): Promise<CheckResult> {
  await facts.reachable();
  const namespace = await facts.namespace();
  using shared = facts.clientOf(namespace);
  using other = facts.clientOf(namespace === KUBELET ? 'default' : KUBELET);
  const [ours, theirs] = await Promise.all([shared.images(signal), other.images(signal)]);
  if (namespace !== KUBELET) return sharedNamespace(namespace, ours.length, theirs.length);
  const known = new Set(ours.map(({ name }) => name));
  const stray = theirs.map(({ name }) => name).filter((name) => !known.has(name));
  if (stray.length === 0) return ok(`no image is in "default" alone; ${namespace} is shared`);
  const [first = ''] = stray;
  return warning(
    `${stray.length} images are in containerd's namespace "default" and not in ${namespace}: neither the kubelet nor the mirror sees them`,
    `ctr -n default images export - '${first}' | ctr -n ${namespace} images import -\nand import with ctr -n ${namespace} next time`,
    stray.slice(0, MAX_NAMES),
  );
}

/** Another namespace than the kubelet's is right only when it has images. */
function sharedNamespace(namespace: string, own: number, kubelets: number): CheckResult {
  if (own > 0) return ok(`the agent shares the namespace ${namespace}, which has ${own} images`);
  const reason = `containerd's namespace ${namespace}, which is shared, has no image or does not exist`;
  if (kubelets === 0) {
    return warning(reason, 'ctr namespaces ls; the images of the kubelet are in k8s.io');
  }
  return failure(
    `${reason}; ${KUBELET}, the namespace of the kubelet, has ${kubelets}`,
    `peerglass registry --containerd-namespace ${KUBELET}\nand the same for doctor`,
  );
}

async function imageNames(facts: Facts, signal: AbortSignal): Promise<CheckResult> {
  await facts.reachable();
  const images: ImageNames = await facts.containerd.images(signal);
  const nameless = namesWithoutRegistry(images);
  if (nameless.length === 0) return ok('every image has a name with a registry');
  return warning(
    `${nameless.length} images have names without a registry, so no pull can ask for them`,
    `ctr -n ${await facts.namespace()} images tag NAME registry.example/team/NAME`,
    nameless.slice(0, MAX_NAMES),
  );
}

/** Returns the names that cannot be pulled. The CRI's aliases (`sha256:...`) do not count. */
function namesWithoutRegistry(images: ImageNames): string[] {
  return images
    .map(({ name }) => name)
    .filter((name) => !/^sha256:[a-f0-9]{64}$/.test(name) && parseReference(name) === undefined);
}
