import type { Inventory } from '../inventory/inventory.ts';
import type { Readiness, ReadinessCheck } from '../admin/admin-handler.ts';
import type { Router } from '../routing/router.ts';

/** After this many milliseconds without a peer the node counts as alone and becomes ready. */
const ALONE_AFTER_MS = 10_000;

/** The parts that have to be in order before the node is ready. */
interface Watched {
  readonly inventory: Pick<Inventory, 'status'>;
  readonly router: Pick<Router, 'status'>;
}

/**
 * Decides whether this node is ready to be a mirror, and gives the reason when it is not.
 *
 * A node without peers is ready: it serves the containerd of the node. If Kubernetes restarted agents because they have no
 * peers, that would only make an outage worse.
 */
export class Health {
  readonly #since = performance.now();
  #watched: Watched | undefined;
  #stopping = false;

  /** The node may become ready from now on. */
  watch(watched: Watched): void {
    this.#watched = watched;
  }

  /** The node is not ready from now on, because it ends. */
  stopping(): void {
    this.#stopping = true;
  }

  readiness(): Readiness {
    const checks = {
      process: this.#process(),
      store: this.#store(),
      directory: this.#directory(),
    };
    return { ready: Object.values(checks).every(({ ok }) => ok), checks };
  }

  #process(): ReadinessCheck {
    if (this.#stopping) return { ok: false, reason: 'stopping' };
    return this.#watched === undefined ? { ok: false, reason: 'starting' } : { ok: true };
  }

  #store(): ReadinessCheck {
    if (this.#watched?.inventory.status().synced === true) return { ok: true };
    const reason =
      'the content store has not been listed yet; is containerd up, or the folder of --oci-layout there?';
    return { ok: false, reason };
  }

  #directory(): ReadinessCheck {
    if (this.#watched === undefined || this.#stopping) return { ok: false, reason: 'not joined' };
    const { peers, bootstrapped, bootstrapError } = this.#watched.router.status();
    if (peers > 0) return { ok: true };
    const reason = bootstrapError ?? 'no peer known';
    const alone = bootstrapped || performance.now() - this.#since > ALONE_AFTER_MS;
    return { ok: alone, reason: alone ? `alone, serving itself: ${reason}` : reason };
  }
}
